/** What a server has counted of one prompt. */
export interface CountedPrompt {
  readonly endpoint: string
  readonly model: string
  /** Bytes of text that were sent. */
  readonly textBytes: number
  readonly promptTokens: number
}

/** Endpoints with a model that are remembered; the oldest is forgotten. */
const pairsMax = 4_096
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
  readonly #usual = new Map<string, number>()
  readonly #learned = new Map<string, number>()

  /** The context as it is known now, in tokens; undefined: this prompt told nothing new. */
  learn({ endpoint, model, textBytes, promptTokens }: CountedPrompt): number | undefined {
    if (promptTokens < tokensToTell || textBytes <= 0) return undefined
    const usual = this.#usual.get(model)
    const bytesPerToken = textBytes / promptTokens
    const key = `${endpoint} ${model}`
    const before = this.#learned.get(key)
    const wasCut = usual !== undefined && bytesPerToken > usual * cutFactor
    // Whole messages are left out, so what was read may be well below the limit.
    const limit = Math.ceil(promptTokens / contextStep) * contextStep
    if (!wasCut) {
      // The first one seen may have been cut itself: then a denser one sets it right.
      const next =
        usual === undefined ? bytesPerToken : usual + (bytesPerToken - usual) * usualWeight
      keep(this.#usual, model, Math.min(next, bytesPerToken * cutFactor))
      if (before === undefined || limit <= before) return undefined
    } else if (before !== undefined && limit <= before) return undefined
    keep(this.#learned, key, limit)
    return limit
  }

  /** Under this name there may be another machine. */
  forget(endpoint: string): void {
    for (const key of [...this.#learned.keys()])
      if (key.startsWith(`${endpoint} `)) this.#learned.delete(key)
  }
}

function keep(map: Map<string, number>, key: string, value: number): void {
  if (!map.has(key) && map.size >= pairsMax)
    for (const oldest of map.keys()) {
      map.delete(oldest)
      break
    }
  map.set(key, value)
}
