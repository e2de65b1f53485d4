import type { Family } from '../../core/ask.ts'

/** What of a client's request decides whether its answer can go on elsewhere. */
export interface RequestFacts {
  readonly temperature: number | undefined
  /** Undefined too for a negative one, which is Ollama's word for none. */
  readonly seed: number | undefined
  /** Only the likeliest token counts, as with temperature 0. */
  readonly topK: number | undefined
  /** The limit on the answer's length, in tokens; undefined: none. */
  readonly outputTokensMax: number | undefined
  /** Of Ollama's own family: the context that it insists on, in tokens. */
  readonly contextTokens: number | undefined
  readonly hasFormat: boolean
  readonly hasTools: boolean
  readonly hasLogprobs: boolean
  readonly hasImages: boolean
  /** Text that the answer is to lead up to. */
  readonly hasSuffix: boolean
  /** Ollama's `context`: a conversation in tokens, which no text stands for. */
  readonly hasTokens: boolean
  readonly isRaw: boolean
}

/**
 * Reads them from a body that Ollama has taken already; undefined when it is no JSON object. Only called when an answer
 * has broken off, so it may take the time that a body takes to be parsed. Keys count in any case, as in Go.
 */
export function requestFacts(family: Family, body: Buffer): RequestFacts | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
  const request = fieldsOf(parsed)
  if (request === undefined) return undefined
  const isNative = family === 'ollama' || family === 'own'
  const sampling = (isNative ? fieldsOf(request.get('options')) : request) ?? new Map()
  const seed = numberIn(sampling, 'seed')
  const limit = isNative
    ? numberIn(sampling, 'num_predict')
    : (numberIn(request, 'max_completion_tokens') ??
      numberIn(request, 'max_output_tokens') ??
      numberIn(request, 'max_tokens'))
  return {
    temperature: numberIn(sampling, 'temperature'),
    seed: seed === undefined || seed < 0 ? undefined : seed,
    topK: isNative ? numberIn(sampling, 'top_k') : undefined,
    outputTokensMax: limit === undefined || limit < 0 ? undefined : limit,
    contextTokens: isNative ? numberIn(sampling, 'num_ctx') : undefined,
    hasFormat: hasFormat(request),
    hasTools: isFilled(request.get('tools')),
    hasLogprobs: request.get('logprobs') === true || (numberIn(request, 'logprobs') ?? 0) > 0,
    hasImages: hasImages(request),
    hasSuffix: isFilled(request.get('suffix')),
    hasTokens: isNative && isFilled(request.get('context')),
    isRaw: isNative && request.get('raw') === true,
  }
}

type Fields = ReadonlyMap<string, unknown>

function fieldsOf(value: unknown): Fields | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return new Map(Object.entries(value).map(([key, each]) => [key.toLowerCase(), each as unknown]))
}

function numberIn(fields: Fields, key: string): number | undefined {
  const value = fields.get(key)
  return typeof value === 'number' ? value : undefined
}

function isFilled(value: unknown): boolean {
  return (typeof value === 'string' || Array.isArray(value)) && value.length > 0
}

/** `format` natively, `response_format` in chat completions, `text.format` in responses; plain text is none. */
function hasFormat(request: Fields): boolean {
  const native = request.get('format')
  if (native !== undefined && native !== null && native !== '') return true
  const asked =
    fieldsOf(request.get('response_format')) ??
    fieldsOf(fieldsOf(request.get('text'))?.get('format'))
  return asked !== undefined && asked.get('type') !== 'text'
}

/** Pictures and sounds: `images` of a request or a message, or a part of a message that is not text. */
function hasImages(request: Fields): boolean {
  if (isFilled(request.get('images'))) return true
  return [request.get('messages'), request.get('input')].some(
    (list) =>
      Array.isArray(list) &&
      list.some((each) => {
        const message = fieldsOf(each)
        const content = message?.get('content')
        return (
          isFilled(message?.get('images')) ||
          (Array.isArray(content) && content.some((part) => isMedia(fieldsOf(part)?.get('type'))))
        )
      }),
  )
}

function isMedia(type: unknown): boolean {
  return typeof type === 'string' && /image|audio|file|document/.test(type)
}
