import type { Home } from './home.ts'

/** Who has not come back by then is half as likely to: a person's next turn mostly comes within two minutes. */
const halfLifeMs = 120_000
/** A model's people are known by some thirty of their prompts. */
const shareOfPrompt = 1 / 32
/** Models whose people are remembered, more than any fleet has. */
const modelsMax = 4_096

/** Adds to the tokens that next turns may need there, or takes away what was added `ageMs` ago. */
export function hold(home: Home, tokens: number, nowMs: number, ageMs = 0): void {
  const change = tokens * 2 ** (-ageMs / halfLifeMs)
  home.heldTokens = Math.max(0, heldIn(home, nowMs) + change)
  home.heldAtMs = nowMs
}

/**
 * Tokens in memory there that a next turn may need: a running total, worn off only when it is looked at. What several
 * conversations begin with is in it once, and never more than the cache holds.
 */
export function heldIn({ heldTokens, heldAtMs, capacityTokens }: Home, nowMs: number): number {
  const held = heldTokens * 2 ** (-Math.max(0, nowMs - heldAtMs) / halfLifeMs)
  return Math.min(held, capacityTokens)
}

/** How often a prompt goes on from one before, by model: chats nearly always do, single questions never. */
export class Returns {
  readonly #shares = new Map<string, number>()

  note(model: string, goesOn: boolean): void {
    const share = this.#shares.get(model)
    if (share === undefined && this.#shares.size >= modelsMax) return
    // Nobody is expected back before somebody has come back.
    const before = share ?? 0
    this.#shares.set(model, before + ((goesOn ? 1 : 0) - before) * shareOfPrompt)
  }

  shareOf(model: string): number {
    return this.#shares.get(model) ?? 0
  }
}
