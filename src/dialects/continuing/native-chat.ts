import { withLimit } from './asked.ts'
import type { Continuing } from './continuing.ts'
import {
  askedNative,
  hasGrammar,
  hasImages,
  nativeLegs,
  optionsOf,
  readNative,
  wantsThoughts,
} from './native.ts'
import { listAt } from './reading.ts'
import { nativeMore, picked, requestsIn } from './requests.ts'
import { withTrailing } from './trailing.ts'

/** `/api/chat` */
export const nativeChat: Continuing = {
  family: 'ollama',
  op: 'chat',
  read: readNative,
  missing: () => undefined,
  request: requestsIn({
    hasGrammar,
    asked: askedNative,
    raw: (body) => ({
      options: optionsOf(body),
      more: picked(body, nativeMore),
      thinks: wantsThoughts(body),
      images: listAt(body, 'messages').some(hasImages),
    }),
    trailing(body, emitted, asked) {
      const messages = withTrailing(listAt(body, 'messages'), emitted, 'thinking')
      if ('cannot' in messages) return messages
      const options = optionsOf(body)
      const limited = withLimit(options, 'num_predict', emitted, asked)
      return { body: { ...body, messages, ...(limited === options ? {} : { options: limited }) } }
    },
  }),
  leg: nativeLegs('chat'),
}
