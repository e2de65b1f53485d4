import { Recent } from '../../core/recent.ts'
import { Lengths, lengthsAround } from './lengths.ts'
import type { RequestSize } from './sample.ts'

/** Tokens of an answer that are assumed before the first one. */
export const outTokensUsual = 200
const usualLengths = lengthsAround(outTokensUsual)

/** Tenants are told apart only as far as there is room, sizes of prompts too. Each takes 1.5 KB: 9 MB at the most. */
const rowsMax = 2_000
const sizesMax = 4_000
/** With fewer answers than this a row says less than the wider one, and is not told apart by sizes. */
const enough = 8
/** Prompts of one size differ by an eighth at most: templates are told apart, what is filled into one is not. */
const sizesOfDoubling = 6
/** Rows are that far apart among the keys of sizes; there are fewer of these, up to 2^40 bytes of text. */
const sizesOfRow = 256
/** What a size begins with, in answers: those of all sizes, which its own few do not outweigh at once. */
const takenOver = 4
/**
 * Sizes are asked while their guesses are nearer by so many doublings. In the Azure traces of 2023 that is 0.6 with chats
 * and, by chance, from -0.2 to 0.25 with completions of code; 0.03 at the most with chats and answers drawn apart.
 */
const gainLeast = 0.25
/** What the last answer counts in that: about the last fifty are remembered. */
const gainShare = 0.02

interface Row {
  /** Where its sizes begin among the keys of all. */
  readonly at: number
  readonly all: Lengths
  /** By how many doublings less sizes were wrong of late. */
  gain: number
}

/**
 * How long answers are, by who asks whom and by the size of the prompt. Long prompts have no longer answers, but requests
 * of one use have prompts of about one size: in the Azure trace of chats (2023) prompt and answer do not correlate, and
 * yet the size explains 73 % of the answers' variance. In its trace of completions of code it says nothing. So each row
 * keeps count of how much nearer the guesses by size are, and asks sizes only while that is worth it.
 */
export class Answers {
  readonly #rows = new Recent<string, Row>(rowsMax)
  /** By row and size. */
  readonly #sizes = new Recent<number, Lengths>(sizesMax)
  readonly #bySize: boolean
  #made = 0
  /** One request is mostly like the one before. */
  #last: KeysOf = { model: '', op: '', tenant: '', keys: ['\n\n', '\n', '\n'] }

  /** `bySize`: sizes of prompts are told apart. */
  constructor({ bySize = true }: { bySize?: boolean } = {}) {
    this.#bySize = bySize
  }

  /** What the answer to such a request is expected to be. Good for this request: it goes on learning. */
  lengthsOf(size: RequestSize): Lengths {
    for (const key of this.#keysOf(size)) {
      const row = this.#rows.peek(key)
      if (!row || row.all.weight < enough) continue
      const own = row.gain > gainLeast ? this.#sizes.peek(row.at + stepOf(size)) : undefined
      return own ?? row.all
    }
    return usualLengths
  }

  /** An answer had so many tokens. `weight` below one: it was cut short, and would have been longer. */
  learn(size: RequestSize, tokens: number, weight: number): void {
    const step = stepOf(size)
    for (const key of this.#keysOf(size)) {
      let row = this.#rows.get(key)
      if (!row) {
        row = { at: this.#made++ * sizesOfRow, all: new Lengths(), gain: 0 }
        this.#rows.set(key, row)
      }
      if (this.#bySize && row.all.weight >= enough) this.#learnSize(row, step, tokens, weight)
      row.all.add(tokens, weight)
    }
  }

  #learnSize(row: Row, step: number, tokens: number, weight: number): void {
    const key = row.at + step
    let lengths = this.#sizes.get(key)
    if (lengths) {
      const gain = errorOf(row.all, tokens) - errorOf(lengths, tokens)
      row.gain += gainShare * weight * (gain - row.gain)
    } else {
      lengths = row.all.worth(takenOver)
      this.#sizes.set(key, lengths)
    }
    lengths.add(tokens, weight)
  }

  /** From the narrowest to the widest: the tenant's own answers, all of that kind, all for the model. */
  #keysOf({ model, op, tenant }: RequestSize): readonly string[] {
    const last = this.#last
    if (last.model === model && last.op === op && last.tenant === tenant) return last.keys
    const keys = [`${model}\n${op}\n${tenant}`, `${model}\n${op}`, `\n${op}`]
    this.#last = { model, op, tenant, keys }
    return keys
  }
}

interface KeysOf extends Pick<RequestSize, 'model' | 'op' | 'tenant'> {
  readonly keys: readonly string[]
}

/** Of the mean as a guess, in doublings. */
function errorOf(lengths: Lengths, tokens: number): number {
  return Math.abs(Math.log2((1 + lengths.mean(Number.POSITIVE_INFINITY)) / (1 + tokens)))
}

/** The number of a prompt's size. */
function stepOf({ textBytes }: RequestSize): number {
  return Math.floor(Math.log2(1 + Math.max(0, textBytes)) * sizesOfDoubling)
}
