import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { start } from '../../lib/child.ts'
import { findProgram, says } from '../../lib/machine.ts'
import { freePort } from '../../lib/scene.ts'
import { type Front, type Ground, listening } from './fronts.ts'
import { HerdHeartbeats } from './herd-heartbeats.ts'

const clockDir = fileURLToPath(new URL('./herd-clock', import.meta.url))

/** The router itself, as it comes but for what would answer with another model or talk to the world. */
export const herd: Front = {
  name: 'ollama-herd',
  policy: 'herd',
  // At 15 a burst kept its one thread busy, and answers waited for it: B2's mean was nearly three times as long as at 5.
  scaleMax: 5,
  look() {
    const program = findProgram('herd')
    if (program === undefined) return { missing: 'no herd on PATH' }
    // Others have that name too.
    const version = /ollama-herd (\d[\d.]*)/.exec(says(program, ['--version']))?.[1]
    return version ? { version } : { missing: 'herd on PATH is no ollama-herd' }
  },
  // It asks with headers of its own and tells clients apart by their addresses.
  extrasOf: ({ session }, id) => ({
    headers: { 'X-Forwarded-For': addressOf(session) },
    body: { request_id: id },
  }),
  async start({ dir, machines, specs, pace: { scale } }) {
    const port = await freePort()
    const child = await start({
      program: findProgram('herd')!,
      args: ['--log-level', 'WARNING'],
      env: herdEnvironment({ dir, port, scale }),
    })
    const running = await listening(port, child)
    const heartbeats = new HerdHeartbeats(port, machines, specs, scale)
    await heartbeats.begin()
    const stop = child[Symbol.asyncDispose]
    return Object.assign(running, {
      async [Symbol.asyncDispose]() {
        await heartbeats[Symbol.asyncDispose]()
        await stop()
      },
    })
  },
}

export function herdEnvironment({
  dir,
  port,
  scale,
}: {
  readonly dir: Ground['dir']
  readonly port: number
  readonly scale: number
}): Record<string, string> {
  return {
    ...{ FLEET_HOST: '127.0.0.1', FLEET_PORT: `${port}` },
    ...{ FLEET_DATA_DIR: dir, HOME: dir, FLEET_ENV_FILE: join(dir, 'none') },
    // With these it answers with another model than asked for, or fetches one from afar.
    ...{ FLEET_VRAM_FALLBACK: 'false', FLEET_AUTO_PULL: 'false' },
    ...{ FLEET_NODE_TELEMETRY: 'false', FLEET_TELEMETRY: 'false' },
    ...{ FLEET_FLEET_INTELLIGENCE: 'false' },
    // Nothing of it has to go through a proxy of this machine.
    ...{ NO_PROXY: '*', no_proxy: '*' },
    ...{ PYTHONPATH: clockDir, PYTHONDONTWRITEBYTECODE: '1', BENCH_CLOCK_SPEED: `${scale}` },
  }
}

/** Each conversation is somebody else's; from one address they would all be one for it. */
function addressOf(session: string): string {
  return `10.${[...createHash('sha256').update(session).digest().subarray(0, 3)].join('.')}`
}
