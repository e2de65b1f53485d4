import { isSameOrigin, originAllowed } from './browser.ts'

type ResponseHeaders = Readonly<Record<string, string>>

const methods = 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'

/** What Ollama lets a page send. Not x-api-key and not anthropic-version: with a real Ollama they do not work either. */
const requestHeaders = [
  'Authorization',
  'Content-Type',
  'User-Agent',
  'Accept',
  'X-Requested-With',
  'Openai-Beta',
  'X-Stainless-Arch',
  'X-Stainless-Async',
  'X-Stainless-Custom-Poll-Interval',
  'X-Stainless-Helper-Method',
  'X-Stainless-Lang',
  'X-Stainless-Os',
  'X-Stainless-Package-Version',
  'X-Stainless-Poll-Helper',
  'X-Stainless-Retry-Count',
  'X-Stainless-Runtime',
  'X-Stainless-Runtime-Version',
  'X-Stainless-Timeout',
].join(',')

const maxAgeS = 12 * 60 * 60

/**
 * The headers that an answer to this page carries: none for a page of our own or one that may not call. The origin is
 * sent back as it came; only an operator's bare `*` opens the address to everybody, and then it says so.
 */
export function corsHeaders(
  origin: string,
  hostHeader: string | undefined,
  extra: readonly string[],
): ResponseHeaders {
  if (isSameOrigin(origin, hostHeader) || !originAllowed(origin, hostHeader, extra)) return {}
  if (extra.includes('*')) return { 'access-control-allow-origin': '*' }
  return { 'access-control-allow-origin': origin, vary: 'Origin' }
}

/** The answer to an OPTIONS request of a page that may call; undefined when it is for the route to answer. */
export function preflightAnswer(
  origin: string,
  hostHeader: string | undefined,
  extra: readonly string[],
): { readonly status: 204; readonly headers: ResponseHeaders } | undefined {
  const allowed = corsHeaders(origin, hostHeader, extra)
  if (!('access-control-allow-origin' in allowed)) return undefined
  const vary = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
  return {
    status: 204,
    headers: {
      ...allowed,
      ...('vary' in allowed ? { vary } : {}),
      'access-control-allow-methods': methods,
      'access-control-allow-headers': requestHeaders,
      'access-control-max-age': String(maxAgeS),
    },
  }
}
