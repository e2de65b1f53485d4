import type { Request } from './specs.ts'

interface Held {
  readonly chain: readonly number[]
  readonly tokens: readonly number[]
}

interface Slot {
  held: Held
  usedMs: number
  busy: boolean
}

const nothing: Held = { chain: [], tokens: [] }

/** Ollama keeps 8 GiB of prompts beside its slots; at 128 KiB a token that is this many. */
const savedTokensMax = 65_536

/**
 * What a loaded model still knows of the prompts it has read: which free slot a request gets, and how many of its
 * tokens are there. As backends/simulator/prompt-cache.ts does it, with blocks in place of characters.
 */
export class PromptCache {
  readonly #slots: Slot[]
  #saved: Held[] = []

  constructor(slots: number) {
    this.#slots = Array.from({ length: slots }, () => ({
      ...{ held: nothing, usedMs: Number.NEGATIVE_INFINITY, busy: false },
    }))
  }

  /** Takes a free slot; there must be one. Gives its number and the tokens that need not be read again. */
  seat(request: Request, nowMs: number): { slot: number; cached: number } {
    let longest = -1
    let longestCommon = -1
    let oldest = -1
    for (const [index, slot] of this.#slots.entries()) {
      if (slot.busy) continue
      const common = commonTokens(slot.held, request)
      if (
        common > longestCommon ||
        (common === longestCommon && slot.usedMs < this.#slots[longest]!.usedMs)
      ) {
        longest = index
        longestCommon = common
      }
      if (oldest < 0 || slot.usedMs < this.#slots[oldest]!.usedMs) oldest = index
    }
    const chosen = longestCommon > 0.1 * request.promptTokens ? longest : oldest
    const slot = this.#slots[chosen]!
    let cached = commonTokens(slot.held, request)
    if (cached < sizeOf(slot.held) / 2) {
      this.#save(slot.held)
      cached = Math.max(cached, this.#takeSaved(request, cached))
    }
    slot.busy = true
    slot.usedMs = nowMs
    slot.held = nothing
    // The last token is always read, or there would be nothing to go on from.
    return { slot: chosen, cached: Math.min(cached, request.promptTokens - 1) }
  }

  /** Tokens of it that are there, in a slot or beside them; what `seat` would find if any slot were free. */
  known(request: Request): number {
    let most = 0
    for (const { held } of this.#slots) most = Math.max(most, commonTokens(held, request))
    for (const held of this.#saved) most = Math.max(most, commonTokens(held, request))
    return Math.min(most, request.promptTokens - 1)
  }

  release(index: number, request: Request, hasRead: boolean, hasAnswered: boolean, nowMs: number) {
    const slot = this.#slots[index]!
    slot.busy = false
    slot.usedMs = nowMs
    if (!hasRead) return
    slot.held = hasAnswered
      ? {
          chain: [...request.chain, request.answer],
          tokens: [...request.chainTokens, request.promptTokens + request.outputTokens],
        }
      : { chain: request.chain, tokens: request.chainTokens }
  }

  #save(held: Held): void {
    const size = sizeOf(held)
    if (size === 0 || size > savedTokensMax) return
    this.#saved.push(held)
    let total = this.#saved.reduce((sum, each) => sum + sizeOf(each), 0)
    while (total > savedTokensMax) total -= sizeOf(this.#saved.shift()!)
  }

  #takeSaved(request: Request, atLeast: number): number {
    let best = -1
    let bestCommon = atLeast
    for (const [index, held] of this.#saved.entries()) {
      const common = commonTokens(held, request)
      if (common > bestCommon) {
        best = index
        bestCommon = common
      }
    }
    if (best >= 0) this.#saved.splice(best, 1)
    return bestCommon
  }
}

function sizeOf({ tokens }: Held): number {
  return tokens.at(-1) ?? 0
}

function commonTokens(held: Held, { chain, chainTokens }: Request): number {
  // A block's number stands for all that is before it, so the last equal one says it all; most differ at the first.
  let blocks = 0
  const most = Math.min(held.chain.length, chain.length)
  while (blocks < most && held.chain[blocks] === chain[blocks]) blocks++
  return blocks === 0 ? 0 : chainTokens[blocks - 1]!
}
