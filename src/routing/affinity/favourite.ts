import type { EndpointView } from '../../core/endpoint-view.ts'
import { hashOf } from './prompt.ts'

/** How far beyond its share of the work an endpoint may be for the sake of a habit (consistent hashing with bounded loads). */
const overShare = 1.25

/**
 * Which endpoint a conversation would always go to if nobody remembered anything: the highest of numbers drawn from its
 * name and theirs (rendezvous hashing), faster ones drawing more often. Several proxies without a common memory come to
 * one result, and few conversations move when an endpoint comes or goes. Who has more than 1.25 times its share of what
 * runs is passed over. Undefined: nobody can serve the model.
 */
export function favouriteOf(
  session: number,
  model: string,
  endpoints: readonly EndpointView[],
  speedOf: (endpoint: string) => number | undefined,
): string | undefined {
  let running = 0
  let capacity = 0
  const known = meanOf(endpoints, speedOf)
  const able: { name: string; inFlight: number; capacity: number; score: number }[] = []
  for (const endpoint of endpoints) {
    const served = endpoint.model(model)
    if (!endpoint.enabled || !endpoint.ready || !served?.admitting) continue
    const own = served.seatsLimit * (speedOf(endpoint.name) ?? known)
    running += endpoint.inFlight
    capacity += own
    const drawn = (hashOf(endpoint.name, session) >>> 0) / 4_294_967_296
    able.push({
      name: endpoint.name,
      inFlight: endpoint.inFlight,
      capacity: own,
      score: -own / Math.log(drawn || Number.MIN_VALUE),
    })
  }
  able.sort((one, other) => other.score - one.score)
  const mayHave = (own: number) => Math.ceil((overShare * (running + 1) * own) / capacity)
  return able.find((each) => each.inFlight + 1 <= mayHave(each.capacity))?.name
}

/** Of a machine that nobody has measured nothing better is known than that it is like the others. */
function meanOf(
  endpoints: readonly EndpointView[],
  speedOf: (endpoint: string) => number | undefined,
): number {
  let sum = 0
  let count = 0
  for (const { name } of endpoints) {
    const speed = speedOf(name)
    if (speed === undefined) continue
    sum += speed
    count++
  }
  return count === 0 ? 1 : sum / count
}
