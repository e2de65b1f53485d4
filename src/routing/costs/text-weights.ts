import { Recent } from '../../core/recent.ts'

/** Bytes of text that make a token where nothing was measured; English prose has a little over four. */
export const bytesPerTokenUsual = 4
/** A prompt that was cut looks like very heavy tokens, one with pictures like very light ones. */
const lightest = 1.5
const heaviest = 8
const keptShare = 0.95
const rowsMax = 1_000
/** So much text counts as known without any measurement, so that one odd request moves little. */
const bytesAssumed = 2_000

interface Row {
  bytes: number
  tokens: number
}

/** How many bytes of text make a token, by model: learned from the counts in answers, no tokenizer needed. */
export class TextWeights {
  readonly #rows = new Recent<string, Row>(rowsMax)

  learn(model: string, bytes: number, tokens: number): void {
    if (!(bytes >= 64) || !(tokens >= 16)) return
    if (bytes / tokens < lightest || bytes / tokens > heaviest) return
    let row = this.#rows.get(model)
    if (!row) {
      row = { bytes: bytesAssumed, tokens: bytesAssumed / bytesPerTokenUsual }
      this.#rows.set(model, row)
    }
    row.bytes = row.bytes * keptShare + bytes
    row.tokens = row.tokens * keptShare + tokens
  }

  bytesPerToken(model: string): number {
    const row = this.#rows.peek(model)
    return row ? row.bytes / row.tokens : bytesPerTokenUsual
  }
}
