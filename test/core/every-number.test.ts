import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromJson, toJson } from '../../src/core/every-number.ts'

const { NaN: nothing, POSITIVE_INFINITY: endless, NEGATIVE_INFINITY: bottomless } = Number

describe('JSON with every number', () => {
  it('keeps what JSON would make null of', () => {
    const value = { a: endless, b: [nothing, bottomless, 0.1 + 0.2, 1e-300], c: { number: 'ten' } }
    expect(fromJson(toJson(value))).toEqual(value)
    expect(toJson({ room: endless })).toBe('{"room":{"number":"Infinity"}}')
  })

  it('gives back any number to the last bit, and plain JSON as it is', () => {
    fc.assert(
      fc.property(fc.double(), fc.jsonValue(), (number, value) => {
        const back = fromJson(toJson([number])) as number[]
        // JSON has one zero only, and no sum or comparison can tell two apart.
        expect(back[0]! + 0).toBe(number + 0)
        expect(fromJson(toJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
