import { readKey } from '../../dialects/scan-keys.ts'
import { nowhere, readObject, skipSpace, stringEnd, valueEnd, walkArray } from './json-bytes.ts'

/** The input of a batch where it stands in the body: nothing is copied and nothing is decoded. */
export interface InputItems {
  readonly body: Buffer
  readonly count: number
  /** Of item i, with its quotes: `starts[i]` to `ends[i]`. */
  readonly starts: Uint32Array
  readonly ends: Uint32Array
}

/** More items than any one batch has; the ranges of as many take 2 MiB. */
const itemsMax = 262_144
const itemsFirst = 1_024

/**
 * Finds the texts of a batch; undefined when the body is in any way other than the usual: several `input` (Go takes
 * the last), items that are no texts, anything behind the object, faults. Such a body goes as it is to one server,
 * which judges it in its own words.
 */
export function readInput(body: Buffer): InputItems | undefined {
  let starts: Uint32Array = new Uint32Array(itemsFirst)
  let ends: Uint32Array = new Uint32Array(itemsFirst)
  let count = 0
  let inputs = 0

  const readItem = (from: number): number => {
    const to = stringEnd(body, from)
    if (to < 0 || count >= itemsMax) return nowhere
    if (count === starts.length) {
      starts = grown(starts)
      ends = grown(ends)
    }
    starts[count] = from
    ends[count] = to
    count++
    return to
  }

  const root = readObject(body, skipSpace(body, 0), ({ keyFrom, keyTo, from }) => {
    if (readKey(body, keyFrom, keyTo) !== 'input') return valueEnd(body, from)
    inputs++
    return inputs === 1 ? walkArray(body, from, readItem) : nowhere
  })
  if (!root || inputs !== 1 || skipSpace(body, root.to) !== body.length) return undefined
  return { body, count, starts, ends }
}

/** Bytes of the item's text as it is written, without quotes. */
export function itemBytes({ starts, ends }: InputItems, index: number): number {
  return ends[index]! - starts[index]! - 2
}

/** The body of a part: the whole one with only the items `from` up to before `to` in its array. */
export function partBody(
  { body, starts, ends, count }: InputItems,
  from: number,
  to: number,
): Buffer {
  return Buffer.concat([
    body.subarray(0, starts[0]),
    body.subarray(starts[from], ends[to - 1]),
    body.subarray(ends[count - 1]),
  ])
}

function grown(before: Uint32Array): Uint32Array {
  const after = new Uint32Array(before.length * 4)
  after.set(before)
  return after
}
