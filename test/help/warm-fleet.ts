import type { Simulator } from '../../backends/simulator/server.ts'
import { canonicalName } from '../../src/core/model-name.ts'
import { type Fleet, type FleetOptions, startFleet } from './fleet.ts'
import { until } from './until.ts'

/** The model of these tests. */
export const model = 'llama3.2'

/** Probes that stay out of the way of what traffic alone must find out. */
export const blind = 'probes: { interval: 60s, timeout: 5s }'

/** The first choice of every request is `a`, then `b` … */
export const inOrder =
  'routing: { picker: capability, preferences: { chat: [a, b, c], generate: [a, b, c] } }'

export const chat = (text: string, more: object = {}) => ({
  model,
  stream: false,
  messages: [{ role: 'user', content: text }],
  ...more,
})

/**
 * A fleet that knows its models and has the one of these tests in memory; nothing is on the traces yet. Whoever counts
 * what a server was asked does not count what the proxy asks of itself, a while after a model's first stream, to learn
 * how it goes on: no going on here.
 */
export async function warmFleet(given: FleetOptions): Promise<Fleet> {
  const options = { ...given, config: `continuation: false\n${given.config ?? ''}` }
  const simulators = options.simulators.map((each) => ({ answerTokens: 5, ...each }))
  const fleet = await startFleet({ ...options, simulators })
  const { endpoints } = fleet.app.pool
  await until(() => endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  for (const [index, simulator] of fleet.simulators.entries()) {
    const body = JSON.stringify({ model, keep_alive: -1 })
    await (await fetch(`${simulator.url}/api/generate`, { method: 'POST', body })).text()
    endpoints[index]?.learnLoaded(canonicalName(model))
    simulator.clearTrace()
  }
  return fleet
}

/** How often a server was asked on this path. */
export function asked(simulator: Simulator | undefined, path = '/api/chat'): number {
  return simulator!.trace().filter(({ route }) => route.endsWith(path)).length
}

/** Nobody waits, nobody holds a seat, and no server works for anybody. */
export async function untilIdle(fleet: Fleet, ms = 5_000): Promise<void> {
  const { pool, queue } = fleet.app
  await until(
    () =>
      queue.size === 0 &&
      pool.endpoints.every(({ inFlight, leases }) => inFlight === 0 && leases.size === 0) &&
      fleet.simulators.every((each) => each.trace().every(({ end }) => end !== undefined)),
    ms,
    'nobody waits, holds a seat, or is worked for',
  )
}
