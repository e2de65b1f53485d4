import { boundariesMax, type PrefixPart, type PrefixParts, spread } from '../../core/prefix.ts'
import type { Holding } from './cache-table.ts'

/** What makes a prompt's text the runner's own: another model, or other options, has another cache. */
export interface PromptOf {
  /** Canonical name. */
  readonly model: string
  /** The runner options, as one text. */
  readonly runner: string
  /** What the client calls its conversation, made unmistakable by its tenant; undefined: it does not say. */
  readonly session: string | undefined
}

/**
 * The beginnings of one prompt as keys, the shortest first; the last one is the whole prompt. Templates put tools
 * before the system's words and those before the messages, so the parts are chained in that order, whatever order the
 * body has them in.
 */
export class Prompt {
  readonly model: string
  readonly highs: number[] = []
  readonly lows: number[] = []
  /** Bytes of text up to each boundary. */
  readonly bytesAt: number[] = []
  readonly sessionHigh: number
  readonly sessionLow: number
  /** Who holds how much of it, as found last; the affinity's own note. */
  found: readonly Holding[] = []
  foundOfSession: readonly Holding[] = []
  foundAtMs = Number.NEGATIVE_INFINITY
  foundInVersion = -1
  /** Where it would go by habit, as found at a moment. */
  favourite: string | undefined
  favouriteAtMs = Number.NaN

  constructor(parts: PrefixParts | undefined, { model, runner, session }: PromptOf) {
    this.model = model
    const chained = listOf(parts)
    let count = 0
    for (const part of chained) count += part.bytesAt.length
    // Of a very long one every so many, counted from its beginning, where the next one of its conversation counts too.
    const every = Math.ceil(count / (boundariesMax - 1)) || 1

    const seed = `${model} ${runner}`
    let high = hashOf(seed, 0x1b873593)
    let low = hashOf(seed, 0x3c6ef372)
    if (session === undefined) this.sessionHigh = this.sessionLow = 0
    else {
      this.sessionHigh = keyOf(high, hashOf(session, 0x1b873593))
      this.sessionLow = keyOf(low, hashOf(session, 0x3c6ef372))
    }
    let bytesBefore = 0
    let seen = 0
    for (const { highs, lows, bytesAt } of chained) {
      for (let index = 0; index < bytesAt.length; index++) {
        if (++seen % every !== 0 && seen !== count) continue
        this.highs.push(keyOf(high, highs[index]!))
        this.lows.push(keyOf(low, lows[index]!))
        this.bytesAt.push(bytesBefore + bytesAt[index]!)
      }
      high = keyOf(high, highs.at(-1)!)
      low = keyOf(low, lows.at(-1)!)
      bytesBefore += bytesAt.at(-1)!
    }
  }

  get count(): number {
    return this.bytesAt.length
  }

  /** Bytes of text in all. */
  get bytes(): number {
    return this.count === 0 ? 0 : this.bytesAt[this.count - 1]!
  }
}

function listOf(parts: PrefixParts | undefined): PrefixPart[] {
  const chained: PrefixPart[] = []
  if (!parts) return chained
  addTo(chained, parts.tools)
  addTo(chained, parts.system)
  addTo(chained, parts.context)
  addTo(chained, parts.text)
  return chained
}

function addTo(chained: PrefixPart[], part: PrefixPart | undefined): void {
  if (part !== undefined && part.bytesAt.length > 0) chained.push(part)
}

/** Zero stands for an empty place in the table, so no key has it. */
function keyOf(seed: number, own: number): number {
  return spread(Math.imul(seed, 31) ^ own) || 1
}

/** A short text as 32 bits. */
export function hashOf(text: string, seed: number): number {
  let hash = seed
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return spread(hash)
}
