import { isUtf8 } from 'node:buffer'
import { Failure } from '../core/failure.ts'
import { BadCombine, type CombineOptions, readCombine } from '../split/combine/options.ts'
import { BadSplit, readSplit, type SplitOptions } from '../split/options.ts'

/** How a client wants its input cut and its answers made one. */
export interface SplitWish {
  readonly options: SplitOptions
  readonly combine: CombineOptions
  /** A part without an answer leaves a marked hole, instead of ending the run. */
  readonly holes: boolean
}

/** The wish that a body or a header makes, or everything that is wrong with it. `split` undefined: none is made. */
export function faultsOfSplit(given: {
  readonly split?: unknown
  readonly combine?: unknown
  readonly images?: unknown
  readonly input?: unknown
  readonly partial: boolean
}): { readonly split: SplitWish | undefined; readonly faults: readonly string[] } {
  const faults: string[] = []
  const options = orFault(() => readSplit(given.split), faults)
  const combine = orFault(() => readCombine(given.combine), faults)
  if (!options) {
    if (given.combine !== undefined && faults.length === 0)
      faults.push('"combine" says how parts are made one, so it needs "split"')
    return { split: undefined, faults }
  }
  const images = Array.isArray(given.images) && given.images.length > 0
  if (images) faults.push('"images" can not be split: leave "split" out')
  const items = Array.isArray(given.input)
  if (items && options.by !== undefined && options.by !== 'items')
    faults.push(`an array of items can not be cut by ${options.by}: leave "by" out, or send text`)
  if (!items && options.by === 'items') faults.push('"split.by" items needs an array as "input"')
  if (!combine || faults.length > 0) return { split: undefined, faults }
  return { split: { options, combine, holes: given.partial }, faults }
}

function orFault<T>(read: () => T, faults: string[]): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof BadSplit || error instanceof BadCombine)) throw error
    faults.push(error.message)
    return undefined
  }
}

/**
 * Only text can be cut and put together again without loss. A body that is no UTF-8, or that has half a surrogate pair
 * in it, would reach the backends with other characters in their place. Throws a Failure.
 */
export function mustBeText(body: Buffer, input: unknown): void {
  if (!isUtf8(body)) throw notText('the body is not UTF-8')
  const wrong = (text: unknown) =>
    typeof text !== 'string'
      ? undefined
      : !text.isWellFormed()
        ? 'the input has half a character in it (a surrogate without its other half)'
        : text.includes('\0')
          ? 'the input is binary: it has a NUL character in it'
          : undefined
  for (const text of Array.isArray(input) ? input : [input]) {
    const sentence = wrong(text)
    if (sentence !== undefined) throw notText(sentence)
  }
}

function notText(sentence: string): Failure {
  return new Failure('input_not_text', sentence)
}
