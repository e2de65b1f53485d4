import type { Home } from './home.ts'

/** Keys that are remembered: some 2,000 long conversations, or 60,000 short ones, in 19 MB that are used bit by bit. */
const sets = 32_768
const ways = 6
/** Endpoints that are remembered for one beginning; a fifth takes the place of the one that used it longest ago. */
const holdersMax = 4
const entriesMax = sets * ways
/** Moments are kept in tenths of a second, so that 31 bits last for six years. */
const tickMs = 100
/** Of an entry: the halves of its key, the tick when it was used last, and 1 where a prompt has ended. */
const headSize = 4
const low = 1
const usedAt = 2
const isEnd = 3
/** Of its holders, in words of 32 bits: four homes (0: none), four moments, four counts of tokens, four sums of 64. */
const holdersSize = holdersMax * 5
const heldAt = holdersMax
const tokensAt = holdersMax * 2
const addedThenAt = (holdersMax * 3) / 2

/** One endpoint that holds a beginning of a prompt. */
export interface Holding {
  readonly home: Home
  /** Tokens of the prompt that it had read when it held this last. */
  readonly tokens: number
  /** Tokens that had come into its cache in all at that moment. */
  readonly addedThen: number
  readonly atMs: number
  /** A prompt has ended here, and none that goes on from it has been read since. */
  readonly isEnd: boolean
}

/**
 * Key → who read a prompt that begins like this, and when. A table of fixed size in typed arrays: a Map of so many
 * entries that come and go would be laid out anew all the time, and every collection would walk it. A key has six
 * places that it may stand in; the one that was used longest ago is given up.
 *
 * What is looked at together lies together: no request finds any of it in the processor's caches, and each part that
 * lies for itself is waited for anew.
 */
export class CacheTable {
  readonly #heads = new Int32Array(entriesMax * headSize)
  readonly #holders = new ArrayBuffer(entriesMax * holdersSize * 4)
  readonly #words = new Uint32Array(this.#holders)
  readonly #tokens = new Float32Array(this.#holders)
  readonly #addedThen = new Float64Array(this.#holders)

  /** The place of a key; -1: unknown. */
  find(keyHigh: number, keyLow: number): number {
    const heads = this.#heads
    const first = ((keyHigh >>> 0) % sets) * ways
    for (let at = first; at < first + ways; at++) {
      const head = at * headSize
      if (heads[head] === keyHigh && heads[head + low] === keyLow) return at
    }
    return -1
  }

  /** This home has now read a prompt that begins like this; `isWhole`: there is no more of it. */
  note(
    keyHigh: number,
    keyLow: number,
    { id, addedTokens }: Pick<Home, 'id' | 'addedTokens'>,
    tokens: number,
    nowMs: number,
    isWhole = false,
  ): void {
    const tick = Math.floor(nowMs / tickMs)
    const known = this.find(keyHigh, keyLow)
    const entry = known < 0 ? this.#makeRoom(keyHigh, keyLow) : known
    const head = entry * headSize
    this.#heads[head + usedAt] = tick
    this.#heads[head + isEnd] = isWhole ? 1 : 0
    const words = this.#words
    const homes = entry * holdersSize
    let place = 0
    for (let at = 0; at < holdersMax; at++) {
      if (words[homes + at] === id) {
        place = at
        break
      }
      if (this.#ageOf(homes, at) < this.#ageOf(homes, place)) place = at
    }
    words[homes + place] = id
    words[homes + heldAt + place] = tick
    this.#tokens[homes + tokensAt + place] = tokens
    this.#addedThen[homes / 2 + addedThenAt + place] = addedTokens
  }

  /** Adds those to the list that hold this entry and are not on it yet. */
  holders(entry: number, homeOf: (id: number) => Home | undefined, into: Holding[]): void {
    const homes = entry * holdersSize
    for (let at = 0; at < holdersMax; at++) {
      const id = this.#words[homes + at]!
      if (id === 0) continue
      const home = homeOf(id)
      // Its number is given to nobody else, so what is gone stays gone.
      if (!home || isAmong(into, home)) continue
      into.push({
        home,
        tokens: this.#tokens[homes + tokensAt + at]!,
        addedThen: this.#addedThen[homes / 2 + addedThenAt + at]!,
        atMs: this.#words[homes + heldAt + at]! * tickMs,
        isEnd: this.#heads[entry * headSize + isEnd] === 1,
      })
    }
  }

  #ageOf(homes: number, at: number): number {
    return this.#words[homes + at] === 0 ? -1 : this.#words[homes + heldAt + at]!
  }

  #makeRoom(keyHigh: number, keyLow: number): number {
    const heads = this.#heads
    const first = ((keyHigh >>> 0) % sets) * ways
    let oldest = first
    for (let at = first; at < first + ways; at++) {
      const head = at * headSize
      if (heads[head] === 0 && heads[head + low] === 0) {
        oldest = at
        break
      }
      if (heads[head + usedAt]! < heads[oldest * headSize + usedAt]!) oldest = at
    }
    heads[oldest * headSize] = keyHigh
    heads[oldest * headSize + low] = keyLow
    const homes = oldest * holdersSize
    for (let at = 0; at < holdersMax; at++) this.#words[homes + at] = 0
    return oldest
  }
}

function isAmong(holdings: readonly Holding[], home: Home): boolean {
  for (const holding of holdings) if (holding.home === home) return true
  return false
}
