import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/**
 * An address that swallows what is sent to it: whoever listens there stands still, and the line of connections to be
 * taken is full, so that the kernel answers no further SYN.
 */
export async function startHole(
  host: string,
  port = 0,
): Promise<{ port: number } & AsyncDisposable> {
  const listens = `
    const server = require('node:net').createServer()
    server.listen({ host: '${host}', port: ${port}, backlog: 1 }, () => console.log(server.address().port))
  `
  const child = spawn(process.execPath, ['-e', listens], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const taken = Number(line.toString().trim())
  child.kill('SIGSTOP')
  const fillers: Socket[] = []
  const end = async () => {
    for (const socket of fillers) socket.destroy()
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  for (;;) {
    const socket = connect(taken, host)
    socket.on('error', () => {})
    fillers.push(socket)
    const isIn = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<boolean>((resolve) => void setTimeout(() => resolve(false), 150)),
    ])
    if (!isIn) return { port: taken, [Symbol.asyncDispose]: end }
    if (fillers.length < 32) continue
    await end()
    throw new Error('the line of connections did not fill')
  }
}
