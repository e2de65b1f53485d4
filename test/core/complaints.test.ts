import { describe, expect, it } from 'vitest'
import { complaintsOf, meantBy, shortened } from '../../src/core/complaints.ts'

describe('complaints', () => {
  it('name the first twenty and count the rest, of which nothing is put into words', () => {
    let said = 0
    const say = (word: string) => {
      said++
      return `${word} is wrong`
    }
    expect(complaintsOf(['a', 'b'], say)).toEqual(['a is wrong', 'b is wrong'])
    const many = Array.from({ length: 1_000_000 }, (_, at) => `w${at}`)
    said = 0
    const complaints = complaintsOf(many, say)
    expect([complaints.length, complaints.at(-1), said]).toEqual([21, 'and 999980 more', 20])
  })

  it('cut a long word short, never in the middle of a letter', () => {
    expect(shortened('x'.repeat(40))).toBe('x'.repeat(40))
    expect(shortened('x'.repeat(41))).toBe(`${'x'.repeat(40)}…`)
    expect(shortened(`${'x'.repeat(39)}😀`)).toBe(`${'x'.repeat(39)}�…`)
  })

  it('say what was meant by a word, and compare no text with one', () => {
    expect(meantBy('streem', ['stream', 'model'])).toBe('stream')
    expect(meantBy('stream'.repeat(100_000), ['stream'])).toBeUndefined()
  })
})
