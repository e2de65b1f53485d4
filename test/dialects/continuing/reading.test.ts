import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventsOf, goJson, linesOf } from '../../../src/dialects/continuing/reading.ts'

describe('reading frames', () => {
  it('finds events whichever way their lines end, and passes over comments', () => {
    const text =
      ': hello\n\nevent: a\ndata: {"one":\ndata: 1}\n\ndata: é\r\n\r\nevent:b\ndata:2\n\n'
    const events = eventsOf(Buffer.from(text))
    expect(events.map(({ name, data }) => [name, data])).toEqual([
      ['a', '{"one":\n1}'],
      ['', 'é'],
      ['b', '2'],
    ])
  })

  it('gives the bytes of every line and event as they were', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'é', '🌈'), minLength: 1 })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const lines = Buffer.from(pieces.map((one) => `${one}\n`).join(''))
        expect(Buffer.concat(linesOf(lines).map(({ bytes }) => bytes))).toEqual(lines)
        expect(linesOf(lines).map(({ data }) => data)).toEqual(pieces)
        const events = Buffer.from(pieces.map((one) => `event: e\ndata: ${one}\n\n`).join(''))
        expect(Buffer.concat(eventsOf(events).map(({ bytes }) => bytes))).toEqual(events)
        expect(eventsOf(events).map(({ data }) => data)).toEqual(pieces)
      }),
    )
  })

  it('writes JSON as Go does', () => {
    expect(goJson({ text: '<a> & \u2028' })).toBe('{"text":"\\u003ca\\u003e \\u0026 \\u2028"}')
  })
})
