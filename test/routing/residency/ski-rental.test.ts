import { describe, expect, it } from 'vitest'
import { isWorthLoading } from '../../../src/routing/residency/ski-rental.ts'

const place = {
  loadS: 10,
  evictionS: 5,
  evicts: true,
  alone: false,
  idle: false,
  tooYoung: false,
  dearness: 1,
  braked: false,
}
const pressure = { waitedS: 0, longestS: 0, warm: true, urgent: false }

describe('a load', () => {
  it('that pushes others out is bought when those who wait have paid for it, and not before', () => {
    expect(isWorthLoading(place, { ...pressure, waitedS: 14.9 })).toBe(false)
    expect(isWorthLoading(place, { ...pressure, waitedS: 15 })).toBe(true)
    expect(isWorthLoading({ ...place, dearness: 4 }, { ...pressure, waitedS: 59 })).toBe(false)
    expect(isWorthLoading({ ...place, dearness: 4 }, { ...pressure, waitedS: 60 })).toBe(true)
  })

  it('into free memory needs nothing to wait for', () => {
    expect(isWorthLoading({ ...place, evicts: false, evictionS: 0 }, pressure)).toBe(true)
  })

  it('of a model that is nowhere is never put off on an idle machine', () => {
    const nowhere = { ...pressure, warm: false }
    expect(isWorthLoading({ ...place, idle: true }, nowhere)).toBe(true)
    expect(isWorthLoading(place, nowhere)).toBe(false)
  })

  // What had come a moment ago was never let go for it, though nothing ran there: who alternated between two models on a
  // server with room for one waited half a minute each time.
  it('of a model that is nowhere pushes out what is young on an idle machine as soon as it is paid for', () => {
    const young = { ...place, idle: true, tooYoung: true }
    const nowhere = { ...pressure, warm: false }
    expect(isWorthLoading(young, { ...nowhere, waitedS: 14.9 })).toBe(false)
    expect(isWorthLoading(young, { ...nowhere, waitedS: 15 })).toBe(true)
    expect(isWorthLoading({ ...young, idle: false }, { ...nowhere, waitedS: 29 })).toBe(false)
  })

  it('of a model that is nowhere comes within half a minute, whatever speaks against it', () => {
    const late = { ...pressure, warm: false, longestS: 30 }
    expect(isWorthLoading({ ...place, tooYoung: true, braked: true, dearness: 64 }, late)).toBe(
      true,
    )
  })

  it('does not follow another too soon, nor at all while the fleet loads too much, where a warm copy is', () => {
    const longWaited = { ...pressure, waitedS: 1_000, longestS: 100 }
    expect(isWorthLoading({ ...place, tooYoung: true }, longWaited)).toBe(false)
    expect(isWorthLoading({ ...place, braked: true }, longWaited)).toBe(false)
  })
})
