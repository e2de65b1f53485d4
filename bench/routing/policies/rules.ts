import type { Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'
import type { Switch } from '../engine/world.ts'
import { type Count, lowest, type Memory } from './peer.ts'

/** nginx round robin, and everybody's: each in turn. */
export function roundRobin(_request: Request, servers: readonly Count[]): Count {
  return lowest(servers, () => 0)
}

export function random(_request: Request, servers: readonly Count[], view: Switch): Count {
  return servers[Math.floor(view.dice.roll() * servers.length)]!
}

/** The less busy of two that were drawn, without putting the first one back. */
export function powerOfTwo(request: Request, servers: readonly Count[], view: Switch): Count {
  const one = random(request, servers, view)
  if (servers.length === 1) return one
  const other = random(
    request,
    servers.filter((each) => each !== one),
    view,
  )
  return other.open < one.open ? other : one
}

/** nginx least_conn (ngx_http_upstream_least_conn_module.c): connections over weight, ties in turn. */
export function leastConn(_request: Request, servers: readonly Count[]): Count {
  return lowest(servers, ({ open, weight }) => open / weight)
}

/** The same among those that have the model in memory; a rule that an operator with a script writes. */
export function warmLeastConn(request: Request, servers: readonly Count[], view: Switch): Count {
  const warm = servers.filter(({ index }) => view.machines[index]!.isResident(request.model))
  return leastConn(request, warm.length > 0 ? warm : servers)
}

/**
 * The first of those with the fewest: Olla's least-connections (balancer/least_connections.go; all list the model), and
 * LiteLLM's least-busy (router_strategy/least_busy.py).
 */
export function firstOfLeast(_request: Request, servers: readonly Count[]): Count {
  let best = servers[0]!
  for (const server of servers) if (server.open < best.open) best = server
  return best
}

/** Olla's sticky wrapper (balancer/sticky.go): where the session was the last time, whatever its load. */
export function ollaSticky(
  request: Request,
  servers: readonly Count[],
  _view: Switch,
  memory: Memory,
): Count {
  const known = servers.find(({ index }) => index === memory.places.get(request.session))
  const chosen = known ?? firstOfLeast(request, servers)
  memory.places.set(request.session, chosen.index)
  return chosen
}

/** A session's server by hash alone: nginx `hash … consistent` and its like. */
export function pureSticky(request: Request, servers: readonly Count[]): Count {
  return rendezvous(request.session, servers)[0]!
}

/** By the first text of the prompt, as prefix hashing does it, passed on while a server has 1.25 times the average. */
export function boundedHash(request: Request, servers: readonly Count[]): Count {
  return bounded(rendezvous(request.session, servers), servers)
}

/** HAProxy `balance hash` with hash-balance-factor 125: the next on the ring while this one has 1.25 times its share. */
function bounded(order: readonly Count[], servers: readonly Count[]): Count {
  const open = servers.reduce((sum, server) => sum + server.open, 0)
  const bound = Math.ceil((1.25 * (open + 1)) / servers.length)
  return order.find((server) => server.open < bound) ?? order[0]!
}

function rendezvous(key: string, servers: readonly Count[]): Count[] {
  return servers
    .map((server) => ({ server, draw: hashOf(`${key}/${server.index}`) }))
    .sort((one, other) => other.draw - one.draw)
    .map(({ server }) => server)
}

/** FNV-1a with a last mixing, so that names which differ in one digit lie far apart. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

const litellmSamples = 10

/**
 * LiteLLM latency-based (router_strategy/lowest_latency.py): the lowest mean of its list; who has no list goes first. A
 * full list has only its last place replaced, until it expires after an hour.
 */
export function litellmLatency(
  _request: Request,
  servers: readonly Count[],
  view: Switch,
  memory: Memory,
): Count {
  const means = servers.map((server) => ({ server, mean: meanOf(memory.samples[server.index]) }))
  const least = Math.min(...means.map(({ mean }) => mean))
  const best = means.filter(({ mean }) => mean === least)
  return best[Math.floor(view.dice.roll() * best.length)]!.server
}

/** Time to the first token over tokens of the answer, as it divides it for streams. */
export function litellmLearn(visit: Visit, memory: Memory): void {
  memory.samples[visit.machine] ??= []
  const samples = memory.samples[visit.machine]!
  const sample = (visit.firstMs - visit.sentMs) / Math.max(1, visit.outputTokens)
  if (samples.length < litellmSamples) samples.push(sample)
  else samples[litellmSamples - 1] = sample
}

function meanOf(samples: readonly number[] | undefined): number {
  if (!samples || samples.length === 0) return 0
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length
}

/** Full-scan EWMA of latency times (open + 1), decay 10 s of samples, as Linkerd reckons for two. */
export function ewma(
  _request: Request,
  servers: readonly Count[],
  _view: Switch,
  memory: Memory,
): Count {
  return lowest(servers, ({ index, open }) => (memory.samples[index]?.[0] ?? 0) * (open + 1))
}

export function ewmaLearn(visit: Visit, memory: Memory): void {
  const latency = visit.endMs - visit.sentMs
  const known = memory.samples[visit.machine]?.[0]
  memory.samples[visit.machine] = [known === undefined ? latency : 0.9 * known + 0.1 * latency]
}
