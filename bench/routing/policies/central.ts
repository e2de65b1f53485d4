import type { Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'
import type { Fault, PolicyMaker } from '../engine/world.ts'
import { type Count, lowest } from './peer.ts'

const checkMs = 2_000
const checksToDown = 3

/**
 * HAProxy `balance leastconn` with `maxconn` = slots (lb_fwlc.c, queue.c): the server with the fewest over its weight
 * among those below their maxconn, else one line for all, first come first served, or by `priority-class`. Checks every
 * 2 s take a server out after three failures; a refused connection is shown to another server.
 */
export function central(
  slots: readonly number[],
  weights?: readonly number[],
  classOf: (request: Request) => number = () => 0,
): PolicyMaker {
  return (view) => {
    const servers: Count[] = view.machines.map((_, index) => ({
      ...{ index, weight: weights?.[index] ?? 1, open: 0, restsUntilMs: 0, turn: 0 },
    }))
    const failedChecks = servers.map(() => 0)
    const lines = new Map<number, Request[]>()
    const tries = new Map<Request, number>()
    let turns = 0
    let waiting = 0

    const offer = () => {
      for (;;) {
        if (waiting === 0) return
        const free = servers.filter(
          ({ index, open }) => open < slots[index]! && failedChecks[index]! < checksToDown,
        )
        if (free.length === 0) return
        const first = Math.min(...[...lines].filter(([, line]) => line.length > 0).map(([c]) => c))
        const request = lines.get(first)!.shift()!
        waiting--
        const chosen = lowest(free, ({ open, weight }) => open / weight)
        chosen.open++
        chosen.turn = ++turns
        view.send(request, chosen.index)
      }
    }
    const join = (request: Request) => {
      const line = lines.get(classOf(request)) ?? []
      lines.set(classOf(request), line)
      line.push(request)
      waiting++
      offer()
    }
    const check = () => {
      for (const [index, machine] of view.machines.entries())
        failedChecks[index] = machine.isAlive && !machine.isFrozen ? 0 : failedChecks[index]! + 1
      offer()
      view.after(checkMs, check)
    }
    view.after(checkMs, check)
    return {
      arrived: join,
      ended(visit: Visit) {
        servers[visit.machine]!.open--
        offer()
      },
      failed(visit: Visit, fault: Fault) {
        servers[visit.machine]!.open--
        const tried = (tries.get(visit.request) ?? 0) + 1
        tries.set(visit.request, tried)
        if (fault === 'refused' && tried <= checksToDown) join(visit.request)
        else view.refuse(visit.request)
        offer()
      },
    }
  }
}
