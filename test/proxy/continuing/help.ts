import fc from 'fast-check'
import type { Manner } from '../../../src/proxy/continuing/manner.ts'

/** Words, doubled words, white space of every kind, long runs without any, characters of one to four bytes. */
export const texts: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ' ',
        '  ',
        '\n\n',
        '\t',
        ' no',
        ' no',
        'sun',
        ' sun',
        '.',
        ' 天空',
        '🌈',
        ' ☀️',
      ),
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom('a'.repeat(40), '天'.repeat(70)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''))

/** Cut somewhere, not inside a pair. */
export function cutAt(text: string, place: number): [string, string] {
  const points = [...text]
  const at = place % (points.length + 1)
  return [points.slice(0, at).join(''), points.slice(at).join('')]
}

/** In pieces of these many code points, round and round; empty pieces among them. */
export function piecesOf(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = []
  const points = [...text]
  const sizesUsed = sizes.some((size) => size > 0) ? sizes : [3]
  for (let at = 0, turn = 0; at < points.length; turn++) {
    const size = sizesUsed[turn % sizesUsed.length]!
    pieces.push(points.slice(at, at + size).join(''))
    at += size
  }
  return pieces
}

/** What a model of this manner says when the client has `text` and `rest` is to come. */
export function legTextOf(manner: Manner, text: string, rest: string): string {
  if (text === '') return rest
  switch (manner) {
    case 'exact':
      return rest
    case 'adds-a-space':
      return ` ${rest}`
    case 'repeats-the-last-word': {
      const words = text.split(/\s+/).filter((word) => word !== '')
      return words.length === 0 ? rest : ` ${words.at(-1)}${rest}`
    }
    case 'from-the-beginning':
      return text + rest
  }
}
