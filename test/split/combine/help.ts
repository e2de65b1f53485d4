import type { Combiner, PartAnswer } from '../../../src/split/combine/combiner.ts'

/** Answers in order; an Error stands for a part that failed. */
export function answersOf(texts: readonly (string | Error)[]): PartAnswer[] {
  return texts.map((text, index) =>
    typeof text === 'string'
      ? { index, label: `line ${index + 1}`, text }
      : { index, label: `line ${index + 1}`, failed: text.message },
  )
}

/** All that a combiner lets out. */
export async function combined(
  combiner: Combiner,
  texts: readonly (string | Error)[],
): Promise<string> {
  let out = ''
  for (const answer of answersOf(texts)) out += combiner.add(answer)
  return out + (await combiner.end())
}
