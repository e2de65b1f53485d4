import { Recent } from '../../core/recent.ts'

/** What a server has counted of one prompt. */
export interface CountedPrompt {
  readonly model: string
  /** Bytes of text that were sent. */
  readonly textBytes: number
  readonly promptTokens: number
  /** The server's context as it was learned so far, in tokens; undefined: it was not. */
  readonly knownTokens: number | undefined
}

/** More models than any fleet has; the one that was used longest ago is forgotten. */
const modelsMax = 1_000
/** Shorter prompts tell little of how many bytes a token has, and no context is smaller. */
const tokensToTell = 256
/** So many times as many bytes a token as the model's usual prompts have: then part of them was not read. */
const cutFactor = 1.6
/** Contexts are set in steps of this. */
const contextStep = 1_024
/** Share by which each prompt moves what is usual for its model. */
const usualWeight = 0.2

/**
 * How much context a model gets at an endpoint that does not say so, learned from its counts. Ollama cuts a prompt that
 * is too long without a word, but counts only what it has read: fewer tokens than so many bytes have in this model's
 * other prompts. A whole one shows that the context is at least as large.
 */
export class Contexts {
  /** Bytes a token, by model: of prompts that were surely whole. */
  readonly #usual = new Recent<string, number>(modelsMax)

  /** The context as it is known now, in tokens; undefined: this prompt told nothing new. */
  learn({ model, textBytes, promptTokens, knownTokens }: CountedPrompt): number | undefined {
    if (promptTokens < tokensToTell || textBytes <= 0) return undefined
    const usual = this.#usual.get(model)
    const bytesPerToken = textBytes / promptTokens
    const wasCut = usual !== undefined && bytesPerToken > usual * cutFactor
    if (!wasCut) {
      // The first one seen may have been cut itself: then a denser one sets it right.
      const next =
        usual === undefined ? bytesPerToken : usual + (bytesPerToken - usual) * usualWeight
      this.#usual.set(model, Math.min(next, bytesPerToken * cutFactor))
      // It only shows that what was learned is too little.
      if (knownTokens === undefined) return undefined
    }
    // Whole messages are left out, so what was read may be well below the limit.
    const limit = Math.ceil(promptTokens / contextStep) * contextStep
    return knownTokens !== undefined && limit <= knownTokens ? undefined : limit
  }
}
