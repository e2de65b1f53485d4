/** A machine as residency sees it: a window without handles, made anew for each look. */
export interface Host {
  readonly name: string
  /** Enabled, ready, admitting, and its loads do not hang. */
  readonly serves: boolean
  /** Requests in flight, over all models. */
  readonly inFlight: number
  readonly residents: readonly Resident[]
  /** Canonical names of what is on its disk and can be loaded. */
  readonly models: ReadonlyMap<string, OnDisk>
  readonly memory: Room
}

export interface OnDisk {
  /** What it takes in memory, about: the size of the weights; undefined: not said. */
  readonly bytes: number | undefined
  /** Seats that a runner of it has there. */
  readonly seats: number
}

/** One loaded model. */
export interface Resident {
  /** Every name that it serves: names of the same weights share a runner. */
  readonly names: readonly string[]
  readonly bytes: number | undefined
  /** Requests that run on it. */
  readonly inUse: number
  /** Since when it is known to be there, on the clock's `now`. */
  readonly sinceMs: number
  /** Until its keep_alive is over; Infinity: it stays; undefined: not said. */
  readonly keptMs: number | undefined
}

/** What fits into a memory, as far as is known. */
export interface Room {
  /** Whether so many models of so many bytes together can be there; true where nobody knows. */
  fits(bytes: number, models: number): boolean
}

/** How long things take, as learned; from other rooms. */
export interface Times {
  /** Seconds of a load of this model there. */
  loadS(host: string, model: string): number
  /** Seconds that a usual request for it takes there, with so many streams at once. */
  serviceS(host: string, model: string, streams: number): number
  /** Seconds that would be lost with the prompts in its cache; 0 where nobody keeps count. */
  readonly prefixS?: (host: string, model: string) => number
}

export function residentAs({ residents }: Host, model: string): Resident | undefined {
  return residents.find(({ names }) => names.includes(model))
}
