import { randomBytes } from 'node:crypto'
import type { Family, Framing, Op } from '../core/ask.ts'
import { type FailureCode, failures } from '../core/failure.ts'
import { shortName } from '../core/model-name.ts'
import { goQuoted } from './go-text.ts'
import type { Route } from './routes.ts'

export interface ErrorAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: Buffer
}

/** What the router itself says, in every family. Source: gin, `default404Body` and `default405Body`. */
export const notFoundText = '404 page not found'
export const notAllowedText = '405 method not allowed'

/**
 * An error before the first byte of an answer, in the shape that the family's clients read. `code` is ours; only
 * our own family and the field that OpenAI has for it carry it.
 */
export function errorAnswer(
  family: Family,
  status: number,
  message: string,
  more: { readonly code?: FailureCode; readonly requestId?: string } = {},
): ErrorAnswer {
  switch (family) {
    case 'ollama':
      return answer(status, 'application/json; charset=utf-8', { error: message })
    case 'openai':
      return compatible(status, openaiError(status, message, more.code))
    case 'anthropic':
      return compatible(status, anthropicError(status, message))
    case 'own':
      return answer(status, 'application/problem+json', problemDocument(status, message, more))
  }
}

/**
 * An error inside an answer that has begun. Ollama has one only for its own lines; its other families end without a
 * word, which their SDKs take for a short but whole answer. These are the forms on which the SDKs raise.
 */
export function errorFrame(
  family: Family,
  framing: Framing,
  message: string,
  code: FailureCode | undefined,
  op: Op,
): Buffer {
  const status = code === undefined ? 500 : failures[code].status
  if (framing === 'sse') return Buffer.from(sseError(family, message, code, op))
  if (family === 'ollama' || family === 'own')
    return Buffer.from(
      `${goJson(code && family === 'own' ? { error: message, code } : { error: message })}\n`,
    )
  return errorAnswer(family, status, message, code === undefined ? {} : { code }).body
}

function sseError(family: Family, message: string, code: FailureCode | undefined, op: Op): string {
  if (family === 'anthropic')
    return `event: error\ndata: ${goJson({ type: 'error', error: { type: 'api_error', message } })}\n\n`
  if (family === 'own')
    return `event: error\ndata: ${goJson({ error: message, ...(code && { code }) })}\n\n`
  const { error } = openaiError(500, message, code)
  // The API's own event has its fields at the top; the SDKs raise only on a field `error`. So it has both.
  if (op === 'responses')
    return `event: error\ndata: ${goJson({ ...error, type: 'error', error })}\n\n`
  return `data: ${goJson({ error })}\n\n`
}

function openaiError(status: number, message: string, code: FailureCode | undefined) {
  const type =
    status === 400 ? 'invalid_request_error' : status === 404 ? 'not_found_error' : 'api_error'
  return { error: { message, type, param: null, code: code ?? null } }
}

const anthropicTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  529: 'overloaded_error',
}

function anthropicError(status: number, message: string) {
  const type = anthropicTypes[status] ?? 'api_error'
  const requestId = `req_${randomBytes(12).toString('hex')}`
  return { type: 'error', error: { type, message }, request_id: requestId }
}

/** RFC 9457, with a stable code and what to do. */
export function problemDocument(
  status: number,
  detail: string,
  more: { readonly code?: FailureCode; readonly requestId?: string },
) {
  const { code } = more
  return {
    type: code === undefined ? 'about:blank' : `urn:chasqui:problem:${code}`,
    title: code === undefined ? 'Error' : code.replaceAll('_', ' '),
    status,
    detail,
    ...(code === undefined ? {} : { code, fix: failures[code].fix }),
    ...(more.requestId === undefined ? {} : { instance: more.requestId }),
  }
}

/**
 * What the compatible layers refuse themselves is written by gin, what comes from behind them by an encoder, which
 * ends with a newline. A 400 of ours stands for the former. Source: Ollama middleware/openai.go, middleware/anthropic.go.
 */
function compatible(status: number, value: object): ErrorAnswer {
  return status === 400
    ? answer(status, 'application/json; charset=utf-8', value)
    : answer(status, 'application/json', value, '\n')
}

function answer(status: number, contentType: string, value: object, end = ''): ErrorAnswer {
  return { status, contentType, body: Buffer.from(goJson(value) + end) }
}

/** JSON as Go writes it: the three characters that mean something in HTML are escaped. Source: encoding/json. */
function goJson(value: object): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** What Ollama says on a route when it has no such model: generate echoes the name, show mends it, embed quotes it. */
export function modelNotFoundText(route: Route, modelText: string): string {
  switch (route.op) {
    case 'embed':
      return `model ${goQuoted(modelText)} not found, try pulling it first`
    case 'copy':
      return `model ${goQuoted(modelText)} not found`
    case 'show':
      return `model '${shortName(modelText) ?? modelText}' not found`
    default:
      return `model '${modelText}' not found`
  }
}
