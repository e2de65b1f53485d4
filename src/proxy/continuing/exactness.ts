/**
 * What an answer that was gone on with elsewhere is worth, case by case. Printed in the docs as it stands here; the
 * cases that `mayContinue` decides by bear its name for the rule.
 */
export const exactness = {
  greedy: {
    case: 'temperature 0',
    guarantee:
      'The same text, as long as both machines rank the next token alike; that holds for one model file, and can not be promised across graphics cards.',
  },
  sampled: {
    case: 'temperature above 0, no seed',
    guarantee:
      'A valid answer: what the client has stays as it is, and the rest is drawn anew, as it would have been.',
  },
  seeded: {
    case: 'a seed, temperature above 0',
    guarantee:
      'Gone on with only if the request asks for it. Restarted first, which gives the same text or is seen to differ; any other way is a valid answer, not the one of that seed.',
  },
  tokenBorder: {
    case: 'between two tokens',
    guarantee:
      'The seam is cut in text: the words before it may be read as other tokens than they were written in, and the next word be weighed a little differently.',
  },
  guessed: {
    case: 'a model not yet measured',
    guarantee:
      'Gone on with only if its template leaves the turn open; doubled spaces and words are taken out where they are plain to see.',
  },
  restarted: {
    case: 'a model that can not go on',
    guarantee:
      'Asked again from the beginning at temperature 0 or with a seed, what the client has being left out as it comes again to the letter; at the first other character the answer ends with an error.',
  },
  format: {
    case: 'JSON or a schema',
    guarantee:
      'Never gone on with inside the document, since the grammar would begin anew. Restarted at temperature 0, or ended with an error.',
  },
  tools: {
    case: 'tools',
    guarantee: 'Gone on with before the first tool call; with a call begun it ends with an error.',
  },
  logprobs: {
    case: 'log probabilities',
    guarantee:
      'Gone on with; those of the tokens behind the seam are computed on words that are read anew.',
  },
  images: {
    case: 'pictures',
    guarantee: 'Sent again, and read again from the beginning, which takes its time.',
  },
  insertion: {
    case: 'a suffix to write up to',
    guarantee: 'Restarted at temperature 0 only: no conversation says where the gap is.',
  },
  contextFull: {
    case: 'a context that is nearly full',
    guarantee:
      'Not gone on with where question, answer so far and its rest do not fit: the beginning of the question would be cut off.',
  },
  long: {
    case: 'more than 1 MiB of answer',
    guarantee: 'Not gone on with: that much is not kept for every stream.',
  },
  repeats: {
    case: 'a model that only repeats itself',
    guarantee:
      'Not gone on with: the server has ended it on purpose. The answer ends with one error, `repeat_guard`.',
  },
  oftenMoved: {
    case: 'a fourth backend that breaks off',
    guarantee: 'Not gone on with: three moves are the most for one answer.',
  },
  nothingSent: {
    case: 'nothing of the answer sent, embeddings, answers that do not stream',
    guarantee: 'Asked again elsewhere as a whole: the client sees one answer of one backend.',
  },
} as const satisfies Readonly<Record<string, { readonly case: string; readonly guarantee: string }>>

export type ExactnessCase = keyof typeof exactness
