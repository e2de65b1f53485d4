import { describe, expect, it } from 'vitest'
import { numbered, pack, type UnitsOfText } from '../../../src/split/cut/pack.ts'
import { PartTooLarge } from '../../../src/split/cut/splitter.ts'
import { labelsOf, textsOf, wishesOf } from './help.ts'

const letters = 'abcdefgh'
const each = [1, 2, 3, 4, 5, 6, 7, 8]
const unit: UnitsOfText = { labelOf: numbered('letter') }

function packed(limits: { size: number; overlap?: number; tokensMax?: number }, units = unit) {
  return pack(letters, each, units, { ...wishesOf(), ...limits })
}

describe('packing', () => {
  it('fills parts by size', () => {
    expect(textsOf(packed({ size: 3 }))).toEqual(['abc', 'def', 'gh'])
    expect(labelsOf(packed({ size: 3 }))).toEqual(['letters 1-3', 'letters 4-6', 'letters 7-8'])
    expect(labelsOf(packed({ size: 7 }))).toEqual(['letters 1-7', 'letter 8'])
  })

  it('cuts earlier where the tokens end', () => {
    expect(textsOf(packed({ size: 5, tokensMax: 3 }))).toEqual(['abc', 'def', 'gh'])
    expect(textsOf(packed({ size: 5, tokensMax: 3.9 }))).toEqual(['abc', 'def', 'gh'])
  })

  it('puts the overlap before, beyond the size', () => {
    const parts = packed({ size: 3, overlap: 2 })
    expect(textsOf(parts)).toEqual(['abc', 'bcdef', 'efgh'])
    expect(parts.map(({ from, start }) => [from, start])).toEqual([
      [0, 0],
      [1, 3],
      [4, 6],
    ])
  })

  it('reaches no further back than the part before', () => {
    expect(textsOf(packed({ size: 2, overlap: 5 }))).toEqual(['ab', 'abcd', 'cdef', 'efgh'])
  })

  it('gives the overlap up before it fails, and at half of the tokens', () => {
    expect(textsOf(packed({ size: 8, overlap: 5, tokensMax: 4 }))).toEqual(['abcd', 'cdef', 'efgh'])
    expect(textsOf(packed({ size: 8, overlap: 5, tokensMax: 1 }))).toEqual([...letters])
  })

  it('counts what is carried, for the unit that the text begins with', () => {
    const units: UnitsOfText = { ...unit, carry: (from) => (from === 0 ? '' : `<${from}>`) }
    expect(textsOf(packed({ size: 9, tokensMax: 5 }, units))).toEqual(['abcde', '<5>fg', '<7>h'])
    expect(textsOf(packed({ size: 3, overlap: 1 }, units))).toEqual(['abc', '<2>cdef', '<5>fgh'])
    expect(() => packed({ size: 9, tokensMax: 3 }, units)).toThrow('letter 4')
  })

  it('says which unit is too large, and how large', () => {
    const refused = () => pack('a\nlonger\n', [2, 9], { labelOf: numbered('line') }, limits)
    const limits = { ...wishesOf({ tokensMax: 6 }), size: 9 }
    expect(refused).toThrow(PartTooLarge)
    expect(refused).toThrow('line 2 has about 7 tokens, and a part can have 6')
  })

  it('believes the weight of the text, not the sum of its pieces', () => {
    const tokensOf = (text: string) => text.length ** 2
    const parts = pack(letters, each, unit, { ...wishesOf({ tokensOf, tokensMax: 9 }), size: 8 })
    expect(textsOf(parts).join('')).toBe(letters)
    expect(parts.filter(({ tokens }) => tokens > 9)).toEqual([])
  })
})
