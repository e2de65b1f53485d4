import {
  type Body,
  bodyOf,
  bytesOf,
  type Cannot,
  cannot,
  hasTools,
  reasons,
  withLimit,
} from './asked.ts'
import type { Asked, Continuing, Emitted, Method, NextRequest } from './continuing.ts'

/** What each language has of its own when an answer is gone on with; the order of things is the same in all. */
export interface Language {
  /** The answer must keep to a grammar. */
  readonly hasGrammar: (body: Body) => boolean
  /** The client has what a later leg has to repeat: ids, dates. Absent: there is no such thing. */
  readonly hasBegun?: (emitted: Emitted) => boolean
  readonly asked: (body: Body, emitted: Emitted) => Asked
  readonly raw: (body: Body) => Omit<RawParts, 'model' | 'body'>
  /** The conversation with the answer so far as its last message; `path`: where that is another one's to answer. */
  readonly trailing: (
    body: Body,
    emitted: Emitted,
    asked: Asked,
  ) => { readonly body: Body; readonly path?: string } | Cannot
}

/** How the next leg is asked for in a language. */
export function requestsIn(language: Language): Continuing['request'] {
  return (original, emitted, method, rendered) => {
    const body = bodyOf(original.body)
    if (body === undefined) return cannot(reasons.body)
    const bar = barTo(method, emitted, language.hasGrammar(body))
    if (bar !== undefined) return cannot(bar)
    if (language.hasBegun?.(emitted) === false) return cannot(reasons.nothing)
    const asked = language.asked(body, emitted)
    if (method === 'restart') return restartRequest(original, asked)
    if (method === 'raw') {
      const parts = { model: body['model'], body, ...language.raw(body) }
      return rawRequest(parts, rendered, emitted, asked)
    }
    const next = language.trailing(body, emitted, asked)
    if ('cannot' in next) return next
    return { path: next.path ?? original.path, body: bytesOf(next.body), method, asked }
  }
}

/** The request again as it was: what a client has of its answer is left out by the seam. */
function restartRequest(
  original: { readonly path: string; readonly body: Buffer },
  asked: Asked,
): NextRequest {
  // Nothing is known to be over: the later leg says the whole answer and its end.
  return { ...original, method: 'restart', asked: { ...asked, complete: undefined } }
}

/** Why the answer can not be gone on with, by whatever way that does not begin anew. */
function barTo(method: Method, emitted: Emitted, grammar: boolean): string | undefined {
  if (emitted.bar !== undefined) return reasons[emitted.bar]
  return grammar && method !== 'restart' ? reasons.grammar : undefined
}

/** What a raw prompt takes from a request: sampling, and what concerns the runner. */
interface RawParts {
  readonly model: unknown
  /** Ollama's own options, whichever language the client spoke. */
  readonly options: Body
  /** `keep_alive`, `shift`, `truncate`, `logprobs`, `top_logprobs`: as the client has them. */
  readonly more?: Body
  /** Undefined: as the model is used to, which shows once there is a text without thoughts before it. */
  readonly thinks: boolean | undefined
  readonly images: boolean
  /** A prompt that the client has rendered itself. */
  readonly prompt?: string
  readonly body: Body
}

/**
 * The rendered prompt with the text behind it. `system`, `template` and `context` are in the rendering. Thoughts are
 * switched off, or Ollama would look for them in the text.
 */
function rawRequest(
  parts: RawParts,
  byTemplate: string | undefined,
  emitted: Emitted,
  asked: Asked,
): NextRequest | Cannot {
  const rendered = parts.prompt ?? byTemplate
  if (rendered === undefined) return cannot(reasons.rendered)
  if (parts.images) return cannot(reasons.images)
  if (hasTools(parts.body)) return cannot(reasons.tools)
  const thinks = parts.thinks ?? emitted.text === ''
  if (thinks || emitted.thinking !== '') return cannot(reasons.thinking)
  const body = {
    model: parts.model,
    prompt: rendered + emitted.text,
    raw: true,
    stream: true,
    think: false,
    options: withLimit(parts.options, 'num_predict', emitted, asked),
    ...parts.more,
  }
  return { path: '/api/generate', body: bytesOf(body), method: 'raw', asked }
}

/** The entries of a body that are there. */
export function picked(body: Body, names: readonly string[]): Body {
  return Object.fromEntries(
    names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]),
  )
}

/** What native requests say beside the prompt and the options. */
export const nativeMore = ['keep_alive', 'shift', 'truncate', 'logprobs', 'top_logprobs'] as const
