import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Peer } from '../peers/peer.ts'
import { type Child, start } from './child.ts'
import { firstAnswer } from './first-answer.ts'
import { loadCpu, proxyCpu } from './machine.ts'
import { removeDir, tempDir } from './temp-dir.ts'

/** One sample's stage: a fresh upstream and a fresh peer in front of it, gone when the scene is. */
export interface Scene extends AsyncDisposable {
  /** Where the load goes. */
  readonly port: number
  /** Whose CPU and memory are counted: the peer's, or the upstream's when nobody stands between. */
  readonly pid: number
  /** False for the upstream, which runs on the other core. */
  readonly onProxyCpu: boolean
  readonly dir: string
}

/** The peer itself does not come up: it is out for the rest of the run, where a failed sample is only a lost one. */
export class PeerDown extends Error {}

const startMs = 10_000

export async function setScene(peer: Peer): Promise<Scene> {
  const stack = new AsyncDisposableStack()
  try {
    const dir = stack.adopt(tempDir(), removeDir)
    const upstream = stack.use(await startUpstream())
    const port = await freePort()
    const shared = { dir, [Symbol.asyncDispose]: () => stack.disposeAsync() }
    const command = peer.command({ port, upstreamPort: upstream.port, dir })
    if (!command) return { port: upstream.port, pid: upstream.pid, onProxyCpu: false, ...shared }
    const child = stack.use(await start(command, proxyCpu))
    try {
      await firstAnswer(port, startMs, child)
    } catch (error) {
      throw new PeerDown(`did not start: ${error instanceof Error ? error.message : error}`)
    }
    return { port, pid: child.pid, onProxyCpu: true, ...shared }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

export async function startUpstream(): Promise<Child & { readonly port: number }> {
  const file = fileURLToPath(new URL('../upstream.ts', import.meta.url))
  const child = await start({ program: process.execPath, args: [file] }, loadCpu)
  const ready = await child.line('ready ', startMs)
  return Object.assign(child, { port: Number(ready.slice(ready.lastIndexOf(':') + 1)) })
}

/** A port that was free a moment ago; nothing else on the machine is likely to take it in between. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = address && typeof address === 'object' ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
