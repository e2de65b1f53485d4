import type { Seats } from '../../src/pool/seats.ts'

/** A row as far as it is decided about. */
interface RowView {
  readonly seats: Pick<Seats, 'limit' | 'used' | 'mayTry'>
  readonly waiting: { readonly length: number }
  oldestSinceMs(): number | undefined
}

export interface RoomFor<R> {
  readonly nowMs: number
  /** How many models Ollama keeps in memory at most; undefined where that is not known. */
  readonly modelsLoadedMax: number | undefined
  readonly isResident: (row: R) => boolean
}

/** A cold model that has waited so long gets its load: no more new work for one of those that are in its way. */
const coldPatienceMs = 5_000

/**
 * How many seats of these weights may be held now; 0: nobody new may begin. One more than are known where somebody
 * waits and Ollama's number has to be found out.
 */
export function seatsNow<R extends RowView>(row: R, rows: Iterable<R>, room: RoomFor<R>): number {
  if (mustWaitForRoom(row, rows, room) || mustMakeRoom(row, rows, room)) return 0
  const { seats, waiting } = row
  // Only beside requests that run on a loaded model is a try worth anything.
  const tries = waiting.length > 0 && room.isResident(row) && seats.mayTry(room.nowMs)
  return seats.limit + (tries ? 1 : 0)
}

/**
 * Ollama loads one model at a time and, with its memory full, waits until one of those in it has nothing to do; behind
 * that wait stands everything else that is not loaded. So a cold model waits here until one of them is idle.
 */
function mustWaitForRoom<R extends RowView>(row: R, rows: Iterable<R>, room: RoomFor<R>): boolean {
  // One that is in memory and idle may be the very one that the load of another pushes out.
  if (room.modelsLoadedMax === undefined || row.seats.used > 0) return false
  let busy = 0
  for (const other of rows) if (other !== row && other.seats.used > 0) busy++
  return busy >= room.modelsLoadedMax
}

/** The one with the least to do steps back for a cold model that has waited longer than anybody here. */
function mustMakeRoom<R extends RowView>(row: R, rows: Iterable<R>, room: RoomFor<R>): boolean {
  if (room.modelsLoadedMax === undefined || row.seats.used === 0) return false
  const all = [...rows]
  let oldestMs = row.oldestSinceMs() ?? room.nowMs
  let isOwed = false
  for (const other of all) {
    const sinceMs = other.oldestSinceMs()
    if (sinceMs === undefined || sinceMs >= oldestMs || sinceMs + coldPatienceMs > room.nowMs)
      continue
    if (!mustWaitForRoom(other, all, room)) continue
    oldestMs = sinceMs
    isOwed = true
  }
  if (!isOwed) return false
  const busy = all.filter((each) => each.seats.used > 0)
  const least = Math.min(...busy.map((each) => each.seats.used))
  return busy.find((each) => each.seats.used === least) === row
}
