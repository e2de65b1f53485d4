import type { Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'
import type { Fault, Policy, PolicyMaker, Switch } from '../engine/world.ts'

/** What a balancer that sends each request on at once knows of its servers. */
export interface Count {
  readonly index: number
  readonly weight: number
  /** Requests it has there now. */
  open: number
  /** Until then it is not asked, since it failed. */
  restsUntilMs: number
  /** Moment and order of its last turn. */
  turn: number
}

/** Chooses among servers that do not rest; there is always one. */
export type Rule = (
  request: Request,
  servers: readonly Count[],
  view: Switch,
  memory: Memory,
) => Count

/** What a rule keeps between two requests besides its counts. */
export class Memory {
  readonly places = new Map<string, number>()
  readonly samples: number[][] = []
  turns = 0
}

/** nginx's fail_timeout, with max_fails 1, as it comes; others' checks find out about as soon. */
const restMs = 10_000
/** Servers that a request is shown to when connections are refused. */
const triesMax = 3

/**
 * A peer that pushes: each request goes to a server at once. As they come, they ask another server when a connection
 * is refused, and give the client the error when an answer has broken off or is a 500.
 */
export function pushing(
  rule: Rule,
  weights?: readonly number[],
  learn?: (visit: Visit, memory: Memory) => void,
): PolicyMaker {
  return (view) => {
    const servers: Count[] = view.machines.map((_, index) => ({
      ...{ index, weight: weights?.[index] ?? 1, open: 0, restsUntilMs: 0, turn: 0 },
    }))
    const memory = new Memory()
    const tries = new Map<Request, number>()
    const send = (request: Request) => {
      const awake = servers.filter(({ restsUntilMs }) => restsUntilMs <= view.nowMs)
      const chosen = rule(request, awake.length > 0 ? awake : servers, view, memory)
      chosen.open++
      chosen.turn = ++memory.turns
      view.send(request, chosen.index)
    }
    return {
      arrived: send,
      ended(visit: Visit) {
        servers[visit.machine]!.open--
        learn?.(visit, memory)
      },
      failed(visit: Visit, fault: Fault) {
        const server = servers[visit.machine]!
        server.open--
        if (fault !== 'error') server.restsUntilMs = view.nowMs + restMs
        const tried = (tries.get(visit.request) ?? 0) + 1
        tries.set(visit.request, tried)
        if (fault === 'refused' && tried < triesMax) send(visit.request)
        else view.refuse(visit.request)
      },
    } satisfies Policy
  }
}

/** The server with the lowest figure; among equals the one whose turn is longest ago. */
export function lowest(servers: readonly Count[], figureOf: (server: Count) => number): Count {
  let best = servers[0]!
  let bestFigure = figureOf(best)
  for (const server of servers) {
    const figure = figureOf(server)
    if (figure < bestFigure || (figure === bestFigure && server.turn < best.turn)) {
      best = server
      bestFigure = figure
    }
  }
  return best
}
