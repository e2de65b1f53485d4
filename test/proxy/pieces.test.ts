import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pieces } from '../../src/proxy/pieces.ts'

describe('pieces', () => {
  it('are put together in their order, whatever their sizes', () => {
    const sizes = fc.array(fc.oneof(fc.nat(3), fc.integer({ min: 900, max: 1_200 }), fc.nat(5_000)))
    fc.assert(
      fc.property(sizes, (lengths) => {
        const all = lengths.map((length, at) => Buffer.alloc(length, at % 251))
        const pieces = new Pieces()
        for (const piece of all) pieces.add(piece)
        expect(pieces.take().equals(Buffer.concat(all))).toBe(true)
        expect(pieces.take()).toHaveLength(0)
      }),
    )
  })

  it('leave the only one as it is', () => {
    const piece = Buffer.from('{"model":"m"}')
    const pieces = new Pieces()
    pieces.add(piece)
    expect(pieces.take()).toBe(piece)
  })

  // Each chunk of a chunked body was kept as a buffer of its own. Eight clients who sent six megabytes each, a byte at a
  // time, took three gigabytes, of which the body budget knew nothing, and the process died.
  it.each([
    ['a byte at a time', [1]],
    ['a byte behind each that is just large enough to be kept', [1_025, 1]],
    ['such pairs behind many bytes, when blocks are large', [...Array(70_000).fill(1), 1_025, 1]],
  ])('take about as much memory as they have bytes: %s', (_how, lengths: number[]) => {
    const pieces = new Pieces()
    const one = Buffer.alloc(1)
    const large = Buffer.alloc(1_025)
    const before = process.memoryUsage()
    let bytes = 0
    for (let at = 0; bytes < 4_000_000; at++) {
      // A buffer as a parser gives it: its own object, in memory that it shares with others.
      const piece = (lengths[at % lengths.length] === 1 ? one : large).subarray(0)
      pieces.add(piece)
      bytes += piece.length
    }
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    const grown = arrayBuffers - before.arrayBuffers + heapUsed - before.heapUsed
    expect(grown).toBeLessThan(100_000_000)
    expect(pieces.take()).toHaveLength(bytes)
  })
})
