import { startSimulator } from '../../backends/simulator/server.ts'
import { type Backend, backendAt } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'

export interface DemoFleet {
  readonly backends: readonly Backend[]
  stop(): Promise<void>
}

/** Four unequal servers, so that balancing, waiting and loading can be seen: two graphics cards, an old one, a small box. */
const servers = [
  {
    name: 'den',
    slots: 4,
    decodeTokensPerSecond: 120,
    loadMs: 1_500,
    models: ['llama3.2', 'qwen3', 'all-minilm'],
  },
  {
    name: 'attic',
    slots: 2,
    decodeTokensPerSecond: 60,
    loadMs: 3_000,
    models: ['llama3.2', 'qwen3'],
  },
  {
    name: 'studio',
    slots: 2,
    decodeTokensPerSecond: 30,
    loadMs: 6_000,
    models: ['llama3.2', 'codellama:13b'],
  },
  {
    name: 'shed',
    slots: 1,
    decodeTokensPerSecond: 12,
    loadMs: 8_000,
    models: ['llama3.2', 'codellama:13b', 'all-minilm'],
  },
]

/** The embedded demo fleet: simulated servers in this process, on ports of their own. */
export async function startDemoFleet(clock: Clock): Promise<DemoFleet> {
  const running = await Promise.all(
    servers.map((settings) => startSimulator({ ...settings, maxLoaded: 2 }, { clock })),
  )
  return {
    backends: running.map(({ url }, index) => ({
      ...backendAt(servers[index]!.name, url),
      slots: servers[index]!.slots,
      labels: ['demo'],
    })),
    async stop() {
      await Promise.all(running.map((simulator) => simulator.close()))
    },
  }
}
