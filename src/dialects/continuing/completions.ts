import { cannot, withLimit } from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { noFigures } from './figures.ts'
import { legsIn, type Writer } from './later-leg.ts'
import { hearNative } from './native.ts'
import { asMessages } from './native-generate.ts'
import {
  askedOpenai,
  type ChunkOpening,
  chunkHearer,
  doneFrame,
  hasBegun,
  headOf,
  missingChunks,
  optionsOfOpenai,
  readChunks,
  usageFrame,
  usageOf,
} from './openai.ts'
import { dataOf, textAt } from './reading.ts'
import { requestsIn } from './requests.ts'

/** `/v1/completions`. It has no messages: others go on with it by Ollama's own routes. */
export const completions: Continuing = {
  family: 'openai',
  op: 'generate',
  read: readChunks,
  missing: missingChunks,
  request: requestsIn({
    hasGrammar: () => false,
    hasBegun,
    asked: askedOpenai,
    raw: (body) => ({ options: optionsOfOpenai(body), thinks: undefined, images: false }),
    trailing(body, emitted, asked) {
      if (textAt(body, 'suffix') !== '') return cannot('a text is to be filled in, not continued')
      const next = {
        model: body['model'],
        messages: asMessages('', textAt(body, 'prompt'), emitted),
        stream: true,
        options: withLimit(optionsOfOpenai(body), 'num_predict', emitted, asked),
      }
      return { path: '/api/chat', body: next }
    },
  }),
  leg: legsIn({
    family: 'openai',
    op: 'generate',
    framing: 'sse',
    hear: (method) => (method === 'restart' ? chunkHearer() : hearNative),
    writer: (emitted, { asked }) => completionWriter(emitted, asked),
  }),
}

function completionWriter(emitted: Emitted, asked: Asked): Writer {
  const opening = emitted.opening as ChunkOpening
  const { id, object, created, model, system_fingerprint } = headOf(opening, 'text_completion')
  const head = { id, object, created }
  const tail = { model, system_fingerprint }
  // Here every chunk has a usage, of zeros, when one was asked for.
  const zeros = asked.usage ? { usage: usageOf(noFigures) } : {}
  const chunk = (text: string, finish: string | null) =>
    dataOf({ ...head, choices: [{ text, index: 0, finish_reason: finish }], ...tail, ...zeros })

  return {
    // Thoughts are not told on this route.
    piece: ({ text }) => (text === '' ? '' : chunk(text, null)),
    calls: () => '',
    end(ended, merged) {
      const finish = opening.finish === undefined ? chunk('', ended.reason) : ''
      return (
        finish + usageFrame({ ...head, choices: [], ...tail }, asked, opening, merged) + doneFrame
      )
    },
  }
}
