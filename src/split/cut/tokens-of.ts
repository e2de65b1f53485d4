import { Ewma } from '../../core/ewma.ts'

/**
 * What one UTF-16 unit weighs before correction, in tokens. Letters and white space of ASCII come four to a token;
 * digits and punctuation are more costly, which is why tables of numbers and code overrun a plain quarter per byte.
 * Letters of two bytes (accents, Greek, Cyrillic, Arabic) are about two to a token, other scripts one each. Each half
 * of a surrogate pair counts one: an emoji takes two tokens or more, and a sum over pieces stays exact wherever they
 * are cut.
 */
const letterTokens = 0.25
const digitOrMarkTokens = 0.5
const twoByteTokens = 0.5
const otherTokens = 1

/** A moving average over about the last ten prompts: a model's tokenizer does not change, the kind of text does. */
const share = 0.2
/** Below this the chat template and the system prompt weigh too much against the text. */
const rawTokensMin = 200
/** No tokenizer is further off than this; a smaller count comes from a prompt that the server had cached. */
const factorMin = 0.5
const factorMax = 3
/** Far more than a fleet holds; names come from clients, so somebody could invent them without end. */
const modelsMax = 256

/** Tokens in a text by its letters alone, not rounded, so that it adds up over pieces. */
export function rawTokens(text: string): number {
  let letters = 0
  let marks = 0
  let twoByte = 0
  let others = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 0x800) others++
    else if (code >= 0x80) twoByte++
    else if (isLetterOrSpace(code)) letters++
    else marks++
  }
  return (
    letters * letterTokens +
    marks * digitOrMarkTokens +
    twoByte * twoByteTokens +
    others * otherTokens
  )
}

function isLetterOrSpace(code: number): boolean {
  const lower = code | 0x20
  return (lower >= 0x61 && lower <= 0x7a) || code === 0x20 || (code >= 0x09 && code <= 0x0d)
}

/** How many tokens a text has for a model: by its letters, corrected by what the model's servers counted before. */
export class TokenEstimator {
  /** In the order in which they last learned, so that the first is the one to forget. */
  readonly #factors = new Map<string, Ewma>()

  /** Not rounded: the sum over pieces is the estimate of the whole. */
  estimate(model: string, text: string): number {
    return rawTokens(text) * this.factor(model)
  }

  /** What the raw count is multiplied by, 0.5 to 3; 1 for a model that was never heard of. */
  factor(model: string): number {
    return this.#factors.get(model)?.value ?? 1
  }

  /**
   * A server has counted a prompt (`prompt_eval_count`). It is weighed here again instead of taking an earlier
   * estimate: many parts are weighed before the first is answered, and each answer would correct the same error anew.
   */
  learn(model: string, prompt: string, promptEvalCount: number): void {
    const raw = rawTokens(prompt)
    if (raw < rawTokensMin || !(promptEvalCount > 0)) return
    const average = this.#factors.get(model) ?? new Ewma(share)
    average.add(Math.min(factorMax, Math.max(factorMin, promptEvalCount / raw)))
    this.#factors.delete(model)
    this.#factors.set(model, average)
    if (this.#factors.size <= modelsMax) return
    for (const oldest of this.#factors.keys()) {
      this.#factors.delete(oldest)
      return
    }
  }
}
