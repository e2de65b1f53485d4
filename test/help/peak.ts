import type { Simulator } from '../../backends/simulator/server.ts'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'

/** The most seats that were ever held at an endpoint from now on: looked at in the moment in which each is taken. */
export function seatsHeld(endpoint: Endpoint): { readonly most: number } {
  const held = { most: endpoint.inFlight }
  const take = endpoint.take.bind(endpoint)
  endpoint.take = (...want) => {
    const lease = take(...want)
    held.most = Math.max(held.most, endpoint.inFlight)
    return lease
  }
  return held
}

/**
 * The most requests for one model that a server worked on at once, without those whose clients left: their seat is free
 * from the moment when their connection is closed, and the server hears of that a little later than of the next one.
 */
export function wholeAtOnce(simulator: Simulator | undefined): number {
  const whole = (simulator?.trace() ?? []).filter(({ cancelReason }) => cancelReason === undefined)
  const models = new Set(whole.map(({ model }) => model))
  return Math.max(
    0,
    ...[...models].map((model) => mostAtOnce(whole.filter((entry) => entry.model === model))),
  )
}

function mostAtOnce(entries: readonly TraceEntry[]): number {
  const turns = entries
    .flatMap(({ slotAt, end }) =>
      slotAt === undefined || end === undefined ? [] : [[slotAt, 1] as const, [end, -1] as const],
    )
    .toSorted(([one, up], [other, down]) => one - other || up - down)
  let most = 0
  let now = 0
  for (const [, change] of turns) {
    now += change
    most = Math.max(most, now)
  }
  return most
}
