import { type Body, cannot, withLimit } from './asked.ts'
import type { Continuing, Emitted } from './continuing.ts'
import {
  askedNative,
  hasGrammar,
  hasImages,
  nativeLegs,
  optionsOf,
  readNative,
  wantsThoughts,
} from './native.ts'
import { listAt, textAt } from './reading.ts'
import { nativeMore, picked, requestsIn } from './requests.ts'

/** `/api/generate` */
export const nativeGenerate: Continuing = {
  family: 'ollama',
  op: 'generate',
  read: readNative,
  missing: () => undefined,
  request: requestsIn({
    hasGrammar,
    asked: askedNative,
    raw: (body) => ({
      options: optionsOf(body),
      more: picked(body, nativeMore),
      thinks: wantsThoughts(body),
      images: hasImages(body),
      // A raw prompt of the client's own has no other rendering than itself.
      ...(body['raw'] === true ? { prompt: textAt(body, 'prompt') } : {}),
    }),
    trailing(body, emitted, asked) {
      const only = onlyAsPrompt(body)
      if (only !== undefined) return cannot(only)
      const next = {
        model: body['model'],
        messages: asMessages(textAt(body, 'system'), textAt(body, 'prompt'), emitted),
        ...picked(body, ['stream', 'think']),
        ...picked(body, nativeMore),
        options: withLimit(optionsOf(body), 'num_predict', emitted, asked),
      }
      return { path: '/api/chat', body: next }
    },
  }),
  leg: nativeLegs('generate'),
}

/** What of a prompt would mean something else, or nothing, in a conversation; undefined: all of it means the same. */
function onlyAsPrompt(body: Body): string | undefined {
  if (body['raw'] === true) return 'a raw prompt is no conversation'
  if (textAt(body, 'template') !== '') return 'a template of its own is for prompts only'
  if (textAt(body, 'suffix') !== '') return 'a text is to be filled in, not continued'
  if (listAt(body, 'context').length > 0) return 'an earlier context is for prompts only'
  return hasImages(body) ? 'images of a prompt are bound to it' : undefined
}

/** A prompt as the conversation that Ollama itself makes of it. Source: server/routes.go, GenerateHandler. */
export function asMessages(system: string, prompt: string, emitted: Emitted): readonly Body[] {
  const { text, thinking } = emitted
  const thoughts = thinking === '' ? {} : { thinking }
  return [
    ...(system === '' ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: prompt },
    ...(text === '' && thinking === '' ? [] : [{ role: 'assistant', content: text, ...thoughts }]),
  ]
}
