import { bodyOf, bytesOf, cannot, reasons, withLimit } from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { noFigures } from './figures.ts'
import { LaterLeg, type Writer } from './later-leg.ts'
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
import { barTo, rawRequest, restartRequest } from './requests.ts'

/** `/v1/completions`. It has no messages: others go on with it by Ollama's own routes. */
export const completions: Continuing = {
  family: 'openai',
  op: 'generate',
  read: readChunks,
  missing: missingChunks,
  request(original, emitted, method, rendered) {
    const body = bodyOf(original.body)
    if (body === undefined) return cannot(reasons.body)
    const bar = barTo(method, emitted, false)
    if (bar !== undefined) return cannot(bar)
    if (!hasBegun(emitted)) return cannot(reasons.nothing)
    const asked = askedOpenai(body, emitted)
    if (method === 'restart') return restartRequest(original, asked)
    const model = body['model']
    const options = optionsOfOpenai(body)
    if (method === 'raw')
      return rawRequest(
        { model, options, thinks: undefined, images: false, body },
        rendered,
        emitted,
        asked,
      )
    if (textAt(body, 'suffix') !== '') return cannot('a text is to be filled in, not continued')
    const next = {
      model,
      messages: asMessages('', textAt(body, 'prompt'), emitted),
      stream: true,
      options: withLimit(options, 'num_predict', emitted, asked),
    }
    return { path: '/api/chat', body: bytesOf(next), method, asked }
  },
  leg: (emitted, request, seam, before) =>
    new LaterLeg({
      family: 'openai',
      op: 'generate',
      framing: 'sse',
      hear: request.method === 'restart' ? chunkHearer() : hearNative,
      writer: completionWriter(emitted, request.asked),
      emitted,
      request,
      seam,
      before,
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
