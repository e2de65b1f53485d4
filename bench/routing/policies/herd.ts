import type { ModelSpec, Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'
import type { Fault, PolicyMaker, Switch } from '../engine/world.ts'
import { quantile } from '../measure.ts'

/** Its agents tell what is in memory this often; in between it believes the last word. */
const heartbeatMs = 5_000
const rebalanceMs = 5_000
/** From so many in a line on it takes some elsewhere, or has another machine load the model. */
const rebalanceFrom = 4
const movedMax = 3
const preWarmFrom = 3
const holdMs = 30_000
const holdAgainMs = 2_000
const triesMax = 3
/** What was in memory within the last half hour is in the page cache, as it reckons. */
const warmMs = 1_800_000
const latenciesMax = 500
const contextTokens = 8_192
/** GB a second of the fastest machine; the others in proportion to their decode speed. */
const bandwidthMax = 800

/** The line of one model at one machine: it lets in as many as the server runs in parallel. */
interface Line {
  readonly pending: Request[]
  inFlight: number
  readonly latenciesMs: number[]
}

/** A machine as its agent described it last. */
interface Node {
  readonly index: number
  readonly bandwidth: number
  loaded: ReadonlySet<number>
  isThere: boolean
  readonly leftAtMs: Map<number, number>
}

/**
 * ollama-herd 0.11 from its code (server/scorer.py, queue_manager.py, rebalancer.py, routes/routing.py): points for
 * what is in memory and for what is fast, less for those in the model's own line there. Two things are in its favour:
 * every machine tells of free memory (what is full is asked for nothing that it has not loaded, and for one thing at a
 * time), and it answers with no other model than the one that was asked for (`vram_fallback`, which is on as it comes,
 * would). Affinity of conversations and its time-outs are left out.
 */
export const herd: PolicyMaker = (view) => {
  const nodes = nodesOf(view)
  const median = quantile(
    nodes.map(({ bandwidth }) => bandwidth).sort((a, b) => a - b),
    0.5,
  )
  const lines = nodes.map(() =>
    view.models.map((): Line => {
      return { pending: [], inFlight: 0, latenciesMs: [] }
    }),
  )
  const tried = new Map<Request, number[]>()
  const warming = new Set<string>()
  const lineOf = (node: Node, model: number) => lines[node.index]![model]!

  const points = (node: Node, { model, promptTokens }: Request) => {
    const isHot = node.loaded.has(model)
    const line = lineOf(node, model)
    const depth = depthOf(line)
    const busy = (6 * depth) / Math.max(0.25, Math.min(4, node.bandwidth / median))
    return (
      heat(node, model, view.nowMs) +
      role(view.models[model]!, node.bandwidth) +
      (isHot ? contextFit(contextTokens / promptTokens) : 0) -
      Math.min(30, busy) -
      (depth === 0 ? 0 : Math.min(25, (depth * p75Of(line, node)) / 10_000))
    )
  }
  const ranked = (request: Request, without: readonly number[] = []): Node[] =>
    nodes
      .filter((node) => node.isThere && !without.includes(node.index))
      .map((node) => ({ node, score: points(node, request) }))
      .sort((one, other) => other.score - one.score)
      .map(({ node }) => node)

  const letIn = (node: Node, model: number) => {
    const line = lineOf(node, model)
    while (line.pending.length > 0 && line.inFlight < view.machines[node.index]!.slots) {
      line.inFlight++
      view.send(line.pending.shift()!, node.index)
    }
  }
  const route = (request: Request, sinceMs: number) => {
    const node = ranked(request, tried.get(request))[0]
    if (node) {
      lineOf(node, request.model).pending.push(request)
      letIn(node, request.model)
    } else if (view.nowMs - sinceMs < holdMs) view.after(holdAgainMs, () => route(request, sinceMs))
    else view.refuse(request)
  }

  const rebalance = () => {
    for (const node of nodes)
      for (const [model, line] of lines[node.index]!.entries()) {
        const asked = line.pending[0] ?? ({ model, promptTokens: 1_000 } as Request)
        if (depthOf(line) >= preWarmFrom) preWarm(asked)
        if (line.pending.length < rebalanceFrom) continue
        const better = ranked(asked).find(
          (other) =>
            other !== node &&
            other.loaded.has(model) &&
            depthOf(lineOf(other, model)) < rebalanceFrom,
        )
        if (!better) continue
        const count = Math.min(line.pending.length >> 1, movedMax)
        lineOf(better, model).pending.push(...line.pending.splice(0, count))
        letIn(better, model)
      }
    view.after(rebalanceMs, rebalance)
  }
  const preWarm = (asked: Request) => {
    const second = ranked(asked)[1]
    const key = `${second?.index} ${asked.model}`
    if (!second || second.loaded.has(asked.model) || warming.has(key)) return
    warming.add(key)
    view.load(second.index, asked.model, () => warming.delete(key))
  }
  view.after(rebalanceMs, rebalance)

  const left = ({ machine, request: { model } }: Visit) => {
    lines[machine]![model]!.inFlight--
    letIn(nodes[machine]!, model)
  }
  return {
    arrived: (request) => route(request, view.nowMs),
    ended(visit: Visit) {
      const { latenciesMs } = lines[visit.machine]![visit.request.model]!
      latenciesMs.push(visit.endMs - visit.sentMs)
      if (latenciesMs.length > latenciesMax) latenciesMs.shift()
      left(visit)
    },
    failed(visit: Visit, fault: Fault) {
      const before = [...(tried.get(visit.request) ?? []), visit.machine]
      tried.set(visit.request, before)
      if (fault !== 'broken' && before.length < triesMax) route(visit.request, view.nowMs)
      else view.refuse(visit.request)
      left(visit)
    },
  }
}

/** The machines, described anew with each heartbeat; theirs come evenly one after another. */
function nodesOf(view: Switch): Node[] {
  const fastest = Math.max(...view.machines.map(({ spec }) => spec.decodePerSecond))
  return view.machines.map((machine, index) => {
    const node: Node = {
      ...{ index, bandwidth: (bandwidthMax * machine.spec.decodePerSecond) / fastest },
      ...{ loaded: new Set(machine.resident), isThere: true, leftAtMs: new Map() },
    }
    const beat = () => {
      const loaded = new Set(machine.resident)
      for (const model of node.loaded) if (!loaded.has(model)) node.leftAtMs.set(model, view.nowMs)
      node.loaded = loaded
      node.isThere = machine.isAlive && !machine.isFrozen
      view.after(heartbeatMs, beat)
    }
    view.after((heartbeatMs * (index + 1)) / view.machines.length, beat)
    return node
  })
}

const depthOf = ({ pending, inFlight }: Line) => pending.length + inFlight

function heat(node: Node, model: number, nowMs: number): number {
  if (node.loaded.has(model)) return 50
  return nowMs - (node.leftAtMs.get(model) ?? Number.NEGATIVE_INFINITY) < warmMs ? 30 : 10
}

/** Large models go to fast machines, small ones to slow ones; a second of loading stands for a gigabyte. */
function role({ loadSeconds }: ModelSpec, bandwidth: number): number {
  const speed = Math.min(25, 5 + bandwidth / 40)
  if (loadSeconds > 20) return speed
  return loadSeconds < 8 ? Math.max(3, 18 - 0.6 * speed) : 0.6 * speed
}

function contextFit(ratio: number): number {
  if (ratio < 1) return -15
  if (ratio < 1.5) return 3
  if (ratio < 3) return 7.5
  return ratio < 8 ? 12 : 15
}

/** Of the last answers of this model there; before the first, a hundred tokens at the speed that the bandwidth promises. */
function p75Of({ latenciesMs }: Line, { bandwidth }: Node): number {
  if (latenciesMs.length > 0)
    return quantile(
      [...latenciesMs].sort((a, b) => a - b),
      0.75,
    )
  return (100 / Math.max(10, bandwidth * 1.2)) * 1_000
}
