import { type Clock, sleep } from '../../core/clock.ts'
import type { Observer } from '../../core/observer.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import type { Resident } from '../../routing/residency/host.ts'
import type { SendOwn } from '../loads.ts'
import type { LearnedTimes } from './times.ts'

/** How often it is looked whether the last request there has ended. */
const drainedEveryMs = 50
/** A server needs seconds to give memory back (0.5 to 1.5 s on graphics cards, up to 5). */
const goneMsMax = 10_000
const goneEveryMs = 200
/**
 * To unload is a matter of a moment, but its answer may wait behind a load of somebody else's. One that is lost would
 * hold up every load there.
 */
const unloadMsMax = 120_000

export interface RoomDoors {
  readonly pool: Pool
  readonly clock: Clock
  readonly observer: Observer
  readonly send: SendOwn
  readonly times: Pick<LearnedTimes, 'unloaded'>
  readonly refresh: (endpoint: Endpoint) => Promise<void>
  /** Seats of this model that are held only to wait for a load. */
  readonly waiting: (endpoint: Endpoint, model: string) => number
}

/**
 * Empties models out of a server's memory: nobody new is sent there, those who run finish, then it is told to unload
 * and looked at until it has. Ollama left to itself waits for a victim that others go on using, and can wait for ever.
 * Ends early when nobody wants the room any more.
 */
export async function makeRoom(
  endpoint: Endpoint,
  victims: readonly Resident[],
  isWanted: () => boolean,
  doors: RoomDoors,
): Promise<void> {
  const { clock, pool, observer, send, refresh, times } = doors
  const names = victims.flatMap((victim) => victim.names)
  for (const name of names) endpoint.parting.add(name)
  try {
    while (isWanted() && endpoint.ready && names.some((name) => isUsed(endpoint, name, doors)))
      await sleep(clock, drainedEveryMs)
    if (!isWanted() || !endpoint.ready) return
    for (const { names: own } of victims) {
      const model = own.find((name) => endpoint.inMemory.has(name))
      if (model === undefined) continue
      const body = JSON.stringify({ model, keep_alive: 0, stream: false })
      const { outcome } = await send(endpoint, '/api/generate', body, (end) =>
        clock.after(unloadMsMax, end),
      )
      if (outcome.kind !== 'answered') continue
      times.unloaded(endpoint.name, model)
      observer.residencyMoved(endpoint.name, model, 'unloaded', 'room')
    }
    const untilMs = clock.now() + goneMsMax
    for (;;) {
      await refresh(endpoint)
      if (!names.some((name) => endpoint.inMemory.has(name)) || clock.now() >= untilMs) return
      await sleep(clock, goneEveryMs)
    }
  } finally {
    for (const name of names) endpoint.parting.delete(name)
    pool.learned()
  }
}

/** Names of the same weights share their seats: the one asked for counts them all. */
function isUsed(endpoint: Endpoint, name: string, { waiting }: RoomDoors): boolean {
  const used = endpoint.model(name)?.seatsUsed ?? 0
  return used > waiting(endpoint, name)
}
