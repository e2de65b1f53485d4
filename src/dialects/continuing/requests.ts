import { type Body, bytesOf, type Cannot, cannot, hasTools, reasons, withLimit } from './asked.ts'
import type { Asked, Emitted, Method, NextRequest } from './continuing.ts'

/** The request again as it was: what a client has of its answer is left out by the seam. */
export function restartRequest(
  original: { readonly path: string; readonly body: Buffer },
  asked: Asked,
): NextRequest {
  // Nothing is known to be over: the later leg says the whole answer and its end.
  return { ...original, method: 'restart', asked: { ...asked, complete: undefined } }
}

/** Why the answer can not be gone on with, by whatever way that does not begin anew. */
export function barTo(method: Method, emitted: Emitted, grammar: boolean): string | undefined {
  if (emitted.bar !== undefined) return reasons[emitted.bar]
  return grammar && method !== 'restart' ? reasons.grammar : undefined
}

/** What a raw prompt takes from a request: sampling, and what concerns the runner. */
export interface RawParts {
  readonly model: unknown
  /** Ollama's own options, whichever language the client spoke. */
  readonly options: Body
  /** `keep_alive`, `shift`, `truncate`, `logprobs`, `top_logprobs`: as the client has them. */
  readonly more?: Body
  /** Undefined: as the model is used to, which shows once there is a text without thoughts before it. */
  readonly thinks: boolean | undefined
  readonly images: boolean
  readonly body: Body
}

/**
 * The rendered prompt with the text behind it. `system`, `template` and `context` are in the rendering. Thoughts are
 * switched off, or Ollama would look for them in the text.
 */
export function rawRequest(
  parts: RawParts,
  rendered: string | undefined,
  emitted: Emitted,
  asked: Asked,
): NextRequest | Cannot {
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
