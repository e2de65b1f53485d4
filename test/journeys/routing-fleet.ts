import { type Fleet, type FleetOptions, startFleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'

/**
 * A fleet whose backends are all known, with probes so patient that a busy machine turns none of them away; nobody
 * measures how a model goes on, since every request is counted.
 */
export async function startCalmFleet(options: FleetOptions): Promise<Fleet> {
  const fleet = await startFleet({
    ...options,
    config: `probes:\n  interval: 20s\n  timeout: 15s\ncontinuation: false\n${options.config ?? ''}`,
  })
  await until(() => fleet.app.pool.endpoints.every(({ ready }) => ready), 15_000)
  return fleet
}
