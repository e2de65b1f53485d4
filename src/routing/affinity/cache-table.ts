import type { Home } from './home.ts'

/** Keys that are remembered: some 2,000 long conversations, or 60,000 short ones, in 18 MB that are used bit by bit. */
const sets = 32_768
const ways = 6
/** Endpoints that are remembered for one beginning; a fifth takes the place of the one that used it longest ago. */
const holdersMax = 4
const entriesMax = sets * ways
/** Moments are kept in tenths of a second, so that 32 bits last for thirteen years. */
const tickMs = 100

/** One endpoint that holds a beginning of a prompt. */
export interface Holding {
  readonly home: Home
  /** Tokens of the prompt that it had read when it held this last. */
  readonly tokens: number
  /** What the home had read in all at that moment, in tokens. */
  readonly readThen: number
  readonly atMs: number
  /** A prompt has ended here, and none that goes on from it has been read since. */
  readonly isEnd: boolean
}

/**
 * Key → who read a prompt that begins like this, and when. A table of fixed size in typed arrays: a Map of so many
 * entries that come and go would be laid out anew all the time, and every collection would walk it. A key has six
 * places that it may stand in; the one that was used longest ago is given up.
 */
export class CacheTable {
  readonly #highs = new Int32Array(entriesMax)
  readonly #lows = new Int32Array(entriesMax)
  readonly #usedAt = new Uint32Array(entriesMax)
  readonly #isEnd = new Uint8Array(entriesMax)
  /** For each entry four holders: the home's number (0: none), its tokens, its readings, and the moment. */
  readonly #homes = new Uint32Array(entriesMax * holdersMax)
  readonly #tokens = new Float32Array(entriesMax * holdersMax)
  readonly #readThen = new Float64Array(entriesMax * holdersMax)
  readonly #heldAt = new Uint32Array(entriesMax * holdersMax)

  /** The place of a key; -1: unknown. */
  find(high: number, low: number): number {
    const first = ((high >>> 0) % sets) * ways
    for (let at = first; at < first + ways; at++)
      if (this.#highs[at] === high && this.#lows[at] === low) return at
    return -1
  }

  /** This home has now read a prompt that begins like this; `isEnd`: there is no more of it. */
  note(
    high: number,
    low: number,
    { id, readTokens }: Pick<Home, 'id' | 'readTokens'>,
    tokens: number,
    nowMs: number,
    isEnd = false,
  ): void {
    const tick = Math.floor(nowMs / tickMs)
    const known = this.find(high, low)
    const entry = known < 0 ? this.#makeRoom(high, low) : known
    this.#usedAt[entry] = tick
    this.#isEnd[entry] = isEnd ? 1 : 0
    const first = entry * holdersMax
    let place = first
    for (let at = first; at < first + holdersMax; at++) {
      if (this.#homes[at] === id) {
        place = at
        break
      }
      if (this.#ageOf(at) < this.#ageOf(place)) place = at
    }
    this.#homes[place] = id
    this.#tokens[place] = tokens
    this.#readThen[place] = readTokens
    this.#heldAt[place] = tick
  }

  /** Adds those to the list that hold this entry and are not on it yet. */
  holders(entry: number, homeOf: (id: number) => Home | undefined, into: Holding[]): void {
    const first = entry * holdersMax
    for (let at = first; at < first + holdersMax; at++) {
      const id = this.#homes[at]!
      if (id === 0) continue
      const home = homeOf(id)
      // Its number is given to nobody else, so what is gone stays gone.
      if (!home || isAmong(into, home)) continue
      into.push({
        home,
        tokens: this.#tokens[at]!,
        readThen: this.#readThen[at]!,
        atMs: this.#heldAt[at]! * tickMs,
        isEnd: this.#isEnd[entry] === 1,
      })
    }
  }

  #ageOf(place: number): number {
    return this.#homes[place] === 0 ? -1 : this.#heldAt[place]!
  }

  #makeRoom(high: number, low: number): number {
    const first = ((high >>> 0) % sets) * ways
    let oldest = first
    for (let at = first; at < first + ways; at++) {
      if (this.#highs[at] === 0 && this.#lows[at] === 0) {
        oldest = at
        break
      }
      if (this.#usedAt[at]! < this.#usedAt[oldest]!) oldest = at
    }
    this.#highs[oldest] = high
    this.#lows[oldest] = low
    this.#homes.fill(0, oldest * holdersMax, (oldest + 1) * holdersMax)
    return oldest
  }
}

function isAmong(holdings: readonly Holding[], home: Home): boolean {
  for (const holding of holdings) if (holding.home === home) return true
  return false
}
