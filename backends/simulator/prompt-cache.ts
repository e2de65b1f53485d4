import type { SimulatorSettings } from './settings.ts'

/** What one slot of a runner still holds of the last prompt and its answer. */
export interface Slot {
  readonly index: number
  held: string
  usedAt: number
  busy: boolean
}

/** Before every moment of a clock. */
const unused = -Infinity

/** Four characters are one token, everywhere in the simulator where tokens are counted. */
const charsPerToken = 4

export function tokenCount(text: string): number {
  return Math.ceil(text.length / charsPerToken)
}

function commonTokens(one: string, other: string): number {
  const end = Math.min(one.length, other.length)
  let at = 0
  // Long prompts mostly share long beginnings: compare in strides first, then letter by letter.
  const stride = 1024
  while (at + stride <= end && one.slice(at, at + stride) === other.slice(at, at + stride))
    at += stride
  while (at < end && one.charCodeAt(at) === other.charCodeAt(at)) at++
  return Math.floor(at / charsPerToken)
}

export interface Seating {
  readonly slot: Slot
  /** Tokens of the prompt that need not be read again. */
  readonly cachedTokens: number
  /** The time that moving states between slot and host memory takes. */
  readonly copyMs: number
}

/**
 * Which free slot a prompt gets, and how much of it is there already. The new engine takes the slot with the longest
 * common beginning when that covers more than a tenth of the prompt, else the one that was idle longest, and keeps
 * what it overwrites in host memory; the old engine always takes the longest common beginning and keeps nothing.
 */
export class PromptCache {
  readonly #settings: SimulatorSettings
  readonly #slotsMax: number
  /** Made when they are first needed: a server that starts is quick, however many it may have. */
  readonly #slots: Slot[] = []
  /** Oldest first. */
  #saved: string[] = []
  #savedBytes = 0

  constructor(settings: SimulatorSettings, slots: number) {
    this.#settings = settings
    this.#slotsMax = slots
  }

  /** Takes a free slot; there must be one. */
  seat(prompt: string, now: number): Seating {
    this.#offerFreshSlot()
    const free = this.#slots.filter((slot) => !slot.busy)
    const ranked = free
      .map((slot) => ({ slot, common: commonTokens(slot.held, prompt) }))
      .sort((one, other) => other.common - one.common || one.slot.usedAt - other.slot.usedAt)
    const total = tokenCount(prompt)
    const longest = ranked[0]
    if (!longest) throw new Error('no free slot')
    let chosen = longest
    let copyMs = 0
    if (this.#settings.generation === 'new') {
      if (longest.common <= 0.1 * total)
        chosen = ranked.reduce((one, other) => (other.slot.usedAt < one.slot.usedAt ? other : one))
      const heldTokens = tokenCount(chosen.slot.held)
      if (chosen.common < heldTokens / 2) {
        copyMs += this.#save(chosen.slot.held)
        const better = this.#take(prompt, chosen.common)
        if (better) {
          chosen = { slot: chosen.slot, common: better.common }
          copyMs += better.copyMs
        }
      } else if (heldTokens === 0) {
        const better = this.#take(prompt, 0)
        if (better) {
          chosen = { slot: chosen.slot, common: better.common }
          copyMs += better.copyMs
        }
      }
    }
    chosen.slot.busy = true
    chosen.slot.usedAt = now
    // One token is always read anew: the engine needs its result to go on.
    const cachedTokens = Math.max(0, Math.min(chosen.common, total - 1))
    return { slot: chosen.slot, cachedTokens, copyMs }
  }

  #offerFreshSlot(): void {
    const index = this.#slots.length
    if (index >= this.#slotsMax) return
    if (this.#slots.some((slot) => !slot.busy && slot.usedAt === unused)) return
    this.#slots.push({ index, held: '', usedAt: unused, busy: false })
  }

  #bytes(text: string): number {
    return tokenCount(text) * this.#settings.promptCacheBytesPerToken
  }
  #copyMs(text: string): number {
    return (this.#bytes(text) / this.#settings.promptCacheBytesPerSecond) * 1000
  }

  #save(text: string): number {
    if (this.#bytes(text) > this.#settings.promptCacheBytes) return 0
    this.#saved.push(text)
    this.#savedBytes += this.#bytes(text)
    while (this.#savedBytes > this.#settings.promptCacheBytes) {
      const oldest = this.#saved.shift()
      if (oldest === undefined) break
      this.#savedBytes -= this.#bytes(oldest)
    }
    return this.#copyMs(text)
  }

  #take(prompt: string, atLeast: number): { common: number; copyMs: number } | undefined {
    let best: { text: string; common: number } | undefined
    for (const text of this.#saved) {
      const common = commonTokens(text, prompt)
      if (common > (best?.common ?? atLeast)) best = { text, common }
    }
    if (!best) return undefined
    const { text, common } = best
    this.#saved = this.#saved.filter((one) => one !== text)
    this.#savedBytes = this.#saved.reduce((sum, one) => sum + this.#bytes(one), 0)
    return { common, copyMs: this.#copyMs(text) }
  }
}
