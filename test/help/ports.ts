import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** A port of this machine that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  await using taken = await takenPort()
  return taken.port
}

/** A port that is held until the end of its scope. */
export async function takenPort(wanted = 0): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer((socket) => socket.destroy())
  server.listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

export async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
