import { describe, expect, it } from 'vitest'
import { Memory } from '../../src/pool/memory.ts'

function memoryAt() {
  const at = { nowMs: 0 }
  return { at, memory: new Memory(() => at.nowMs) }
}

describe('what fits into a memory', () => {
  it('is everything until something was pushed out', () => {
    const { memory } = memoryAt()
    expect(memory.fits(1e12, 9)).toBe(true)
    expect(memory.isTight).toBe(false)
  })

  it('is less, in bytes or in number, than what did not fit', () => {
    const { memory } = memoryAt()
    memory.held(8e9, 2)
    memory.refused(12e9, 3)
    expect(memory.fits(8e9, 2)).toBe(true)
    expect(memory.fits(12e9, 3)).toBe(false)
    expect(memory.fits(8.5e9, 3)).toBe(true)
    // What is not loaded yet is known by its size on disk, and takes more in memory.
    expect(memory.fits(11e9, 3)).toBe(false)
    expect(memory.fits(20e9, 4)).toBe(false)
    expect(memory.fits(50e9, 1)).toBe(true)
    expect(memory.isTight).toBe(true)
  })

  it('is believed anew when it is seen to fit after all, and forgotten after an hour', () => {
    const { memory, at } = memoryAt()
    memory.refused(12e9, 3)
    memory.held(12e9, 3)
    expect(memory.fits(12e9, 3)).toBe(true)
    memory.refused(16e9, 4)
    at.nowMs = 3_600_001
    expect(memory.fits(16e9, 4)).toBe(true)
  })

  it('is no more than an operator or an agent says', () => {
    const { memory } = memoryAt()
    memory.bytesMax = 10e9
    expect(memory.fits(11e9, 2)).toBe(false)
    expect(memory.fits(9e9, 2)).toBe(true)
  })
})
