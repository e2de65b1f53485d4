import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from './child.ts'
import { smallBody } from './small-load.ts'

const betweenTriesMs = 10
const tryMs = 1_000

/** Asks a small request over and over until it is answered with 200. Rejects when the child ends or time runs out. */
export async function firstAnswer(port: number, limitMs: number, child: Child): Promise<void> {
  const until = performance.now() + limitMs
  let last = 'nobody listens'
  while (performance.now() < until) {
    if (!child.alive) throw new Error(`it ended: ${child.lastWords() || 'without a word'}`)
    const line = await tryOnce(port)
    if (line.startsWith('HTTP/1.1 200')) return
    if (line) last = line
    await sleep(betweenTriesMs)
  }
  throw new Error(`no answer in ${limitMs} ms: ${last}`)
}

/** The answer's first line; empty when there was none. */
function tryOnce(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const finish = (line: string) => {
      socket.destroy()
      resolve(line)
    }
    socket.setTimeout(tryMs, () => finish('')).on('error', () => finish(''))
    socket.on('close', () => finish(''))
    socket.on('data', (bytes) => finish(bytes.toString('latin1').split('\r\n', 1)[0] ?? ''))
    socket.write(
      `POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${smallBody.length}\r\n\r\n${smallBody}`,
    )
  })
}
