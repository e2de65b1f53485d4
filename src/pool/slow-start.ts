/**
 * Who comes back gets its load bit by bit: a server that was ill may be ill still, and one that has just started has
 * everything to warm up. The seats that it should use grow evenly from one to all of them. What becomes of a request
 * that finds no other seat is for routing to say.
 */
export function seatsForNow(seats: number, passedMs: number, windowMs: number): number {
  return Math.max(1, Math.floor((seats * passedMs) / windowMs))
}

/** What stands for the server as a whole beside its models. */
export const wholeServer = ''

/** Since when a server, or a model there, is coming back. Almost always nobody is. */
export class Returning {
  readonly #sinceMs = new Map<string, number>()

  get nobody(): boolean {
    return this.#sinceMs.size === 0
  }

  begin(what: string, nowMs: number): void {
    this.#sinceMs.set(what, nowMs)
  }

  /** Models that are gone come back no more. */
  keepOnly(models: ReadonlyMap<string, unknown>): void {
    for (const what of this.#sinceMs.keys())
      if (what !== wholeServer && !models.has(what)) this.#sinceMs.delete(what)
  }

  /** True: so many seats in use are enough for now, of so many. */
  enough(what: string, used: number, seats: number, nowMs: number, windowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(what)
    if (sinceMs === undefined) return false
    const passedMs = nowMs - sinceMs
    if (passedMs < windowMs) return used >= seatsForNow(seats, passedMs, windowMs)
    this.#sinceMs.delete(what)
    return false
  }
}
