import type { Visit } from './front.ts'

/** How long a client may go on sending what nobody will read. */
const lingerMs = 1_000

/**
 * Answered before the body was read: the connection can not be used again, and what still comes is read for a moment
 * so that the client gets to see the answer instead of a reset.
 */
export function endEarly(visit: Visit): void {
  const { request, response } = visit
  if (request.complete || request.readableEnded) return
  if (
    request.headers['content-length'] === undefined &&
    request.headers['transfer-encoding'] === undefined
  )
    return
  response.setHeader('Connection', 'close')
  request.resume()
  response.once('finish', () => {
    const timer = setTimeout(() => request.destroy(), lingerMs)
    timer.unref()
  })
}
