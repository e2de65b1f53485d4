import type { Socket } from 'node:net'

/** How long a client may go on sending what nobody will read. */
export const lingerMs = 1_000

/**
 * Ends our side when all has gone out; the connection is closed once the client has ended its own, too. Closed at once
 * with something of the client's unread it would be reset, and a client in the middle of sending would not see what it
 * was told. The caller takes care that what still comes is read away.
 */
export function closeGently(socket: Socket): void {
  if (socket.destroyed) return
  let limit: NodeJS.Timeout | undefined
  // A client that reads slowly has the time that it needs: only behind its last byte it is waited for no longer.
  const wait = () => {
    limit = setTimeout(() => socket.destroy(), lingerMs)
    limit.unref()
  }
  socket.once('close', () => clearTimeout(limit))
  if (socket.writableFinished) wait()
  else socket.once('finish', wait)
  socket.end()
}
