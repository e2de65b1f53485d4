import { bodyOf, bytesOf, cannot, reasons, withLimit } from './asked.ts'
import type { Continuing } from './continuing.ts'
import {
  askedNative,
  hasGrammar,
  hasImages,
  nativeLeg,
  optionsOf,
  readNative,
  wantsThoughts,
} from './native.ts'
import { listAt } from './reading.ts'
import { barTo, nativeMore, picked, rawRequest, restartRequest } from './requests.ts'
import { withTrailing } from './trailing.ts'

/** `/api/chat` */
export const nativeChat: Continuing = {
  family: 'ollama',
  op: 'chat',
  read: readNative,
  missing: () => undefined,
  request(original, emitted, method, rendered) {
    const body = bodyOf(original.body)
    if (body === undefined) return cannot(reasons.body)
    const bar = barTo(method, emitted, hasGrammar(body))
    if (bar !== undefined) return cannot(bar)
    const asked = askedNative(body, emitted)
    if (method === 'restart') return restartRequest(original, asked)
    const messages = listAt(body, 'messages')
    const options = optionsOf(body)
    if (method === 'raw') {
      const parts = {
        model: body['model'],
        options,
        more: picked(body, nativeMore),
        thinks: wantsThoughts(body),
        images: messages.some(hasImages),
        body,
      }
      return rawRequest(parts, rendered, emitted, asked)
    }
    const trailing = withTrailing(messages, emitted, 'thinking')
    if ('cannot' in trailing) return trailing
    const limited = withLimit(options, 'num_predict', emitted, asked)
    const next = {
      ...body,
      messages: trailing,
      ...(limited === options ? {} : { options: limited }),
    }
    return { path: original.path, body: bytesOf(next), method, asked }
  },
  leg: nativeLeg('chat'),
}
