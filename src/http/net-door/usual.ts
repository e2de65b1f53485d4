import { findRoute } from '../../dialects/routes.ts'
import type { RequestHead } from './request-head.ts'

/**
 * What comes all the time: inference, its body in memory, and the lists that its clients ask for on the same
 * connection, which would else go another way from then on.
 */
export function isUsual(
  { method, target, bodyBytes }: Pick<RequestHead, 'method' | 'target' | 'bodyBytes'>,
  bodyBytesMax: number,
): boolean {
  const isList = method === 'GET' && bodyBytes === 0
  if (!isList && (method !== 'POST' || bodyBytes === 0 || bodyBytes > bodyBytesMax)) return false
  const mark = target.indexOf('?')
  const found = findRoute(method, mark < 0 ? target : target.slice(0, mark))
  if (found.kind !== 'route') return false
  const { treatment, inference, body } = found.route
  return isList ? treatment === 'merged' : inference && body === 'json'
}
