import type { FailureCode } from '../core/failure.ts'

/** Our failures in the words of RFC 9209 section 2.3; what has no word there is a `proxy_internal_error`. */
const errorTypes: Partial<Record<FailureCode, string>> = {
  no_backend: 'destination_unavailable',
  all_away: 'destination_unavailable',
  model_away: 'destination_unavailable',
  model_unknown: 'destination_not_found',
  ruled_out: 'http_request_denied',
  queue_full: 'connection_limit_reached',
  all_busy: 'connection_limit_reached',
  queue_timeout: 'connection_limit_reached',
  upstream_failed: 'connection_terminated',
  upstream_timeout: 'connection_read_timeout',
  total_timeout: 'connection_read_timeout',
  poison: 'http_request_denied',
  body_too_large: 'http_request_error',
  too_many_values: 'http_request_error',
  body_not_json: 'http_request_error',
  request_invalid: 'http_request_error',
  loop: 'proxy_loop_detected',
}

/** A name that a quoted string takes as it is. */
const plainName = /^[\w.-]+$/

/** The Proxy-Status field (RFC 9209): who answered, by configured name and never by address. */
export function proxyStatus(fact: {
  backend: string
  received?: number
  error?: FailureCode
  /** In words without anything that a quoted string can not hold. */
  details?: string | undefined
}): string {
  const isPlain = fact.error === undefined && fact.details === undefined
  if (isPlain && fact.received !== undefined && plainName.test(fact.backend))
    return `chasqui;next-hop="${fact.backend}";received-status=${fact.received}`
  const parts = ['chasqui']
  if (fact.error !== undefined)
    parts.push(`error=${errorTypes[fact.error] ?? 'proxy_internal_error'}`)
  if (fact.backend !== '') parts.push(`next-hop=${JSON.stringify(fact.backend)}`)
  if (fact.received !== undefined) parts.push(`received-status=${fact.received}`)
  if (fact.details !== undefined) parts.push(`details=${JSON.stringify(fact.details)}`)
  return parts.join(';')
}
