import { describe, expect, it } from 'vitest'
import { LoadWedge } from '../../src/pool/load-wedge.ts'

describe('loads that hang', () => {
  it('are tried again after pauses that grow, until one comes through', () => {
    const wedge = new LoadWedge()
    expect(wedge.isTryDue(1e9)).toBe(false)
    wedge.hangs(0)
    expect(wedge.isWedged).toBe(true)
    expect(wedge.isTryDue(59_999)).toBe(false)
    expect(wedge.isTryDue(60_000)).toBe(true)
    wedge.tries(60_000)
    expect(wedge.isTryDue(60_001)).toBe(false)
    wedge.hangs(120_000)
    expect(wedge.isTryDue(239_999)).toBe(false)
    expect(wedge.isTryDue(240_000)).toBe(true)
    wedge.clear()
    expect(wedge.isWedged).toBe(false)
    expect(wedge.isTryDue(1e9)).toBe(false)
  })
})
