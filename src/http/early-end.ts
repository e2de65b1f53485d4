import type { Visit } from './front.ts'

/** How long a client may go on sending what nobody will read. */
const lingerMs = 1_000

/**
 * The whole answer to a request whose body may not have been read to its end. Then the connection can not be used
 * again, and what still comes is read for a moment: closed at once, a client in the middle of sending would see a
 * reset instead of the answer. So the answer goes out complete, and only its formal end waits.
 */
export function answerEarly(
  { request, response }: Visit,
  status: number,
  headers: readonly string[],
  body: Buffer,
): void {
  const hasBody =
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined
  if (!hasBody || request.complete || request.readableEnded) {
    response.writeHead(status, [...headers]).end(body)
    return
  }
  const end = () => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, lingerMs)
  timer.unref()
  request.once('end', end).once('close', end)
  request.resume()
  response.writeHead(status, [...headers, 'Connection', 'close']).write(body)
}
