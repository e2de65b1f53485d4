import { expect, it } from 'vitest'
import { Speeds } from '../../src/split/speeds.ts'

const m = 'm:latest'

it('a speed is learned from answers, per backend and model, and asked for by weight', () => {
  const speeds = new Speeds()
  expect(speeds.expectedMs('a', m, 10)).toBeUndefined()
  speeds.learn('a', m, 100, 500)
  expect(speeds.expectedMs('a', m, 10)).toBe(50)
  expect(speeds.expectedMs('b', m, 10)).toBeUndefined()
  expect(speeds.expectedMs('a', 'other:latest', 10)).toBeUndefined()
})

it('a machine that others begin to use is noticed within a few parts', () => {
  const speeds = new Speeds()
  for (let each = 0; each < 20; each++) speeds.learn('a', m, 100, 100)
  for (let each = 0; each < 5; each++) speeds.learn('a', m, 100, 500)
  expect(speeds.expectedMs('a', m, 1)).toBeGreaterThan(4)
})

it('a long part shows more of a speed than a short one', () => {
  const speeds = new Speeds()
  for (let each = 0; each < 20; each++) speeds.learn('a', m, 50_000, 100)
  speeds.learn('a', m, 50, 10)
  expect(speeds.unitsPerMs('a', m)).toBeGreaterThan(450)
})

it('a hint is told apart from what was learned, and a machine that comes back is another one', () => {
  const speeds = new Speeds()
  speeds.learnHint('a', m, 10, 5)
  speeds.learn('ab', m, 10, 5)
  expect([speeds.hint('a', m), speeds.unitsPerMs('a', m)]).toEqual([2, undefined])
  speeds.forget('a')
  expect([speeds.hint('a', m), speeds.unitsPerMs('ab', m)]).toEqual([undefined, 2])
})

it('what teaches nothing is not learned', () => {
  const speeds = new Speeds()
  speeds.learn('a', m, 0, 500)
  speeds.learn('a', m, Number.NaN, 500)
  speeds.learn('a', m, 10, Number.NaN)
  speeds.learn('a', m, 10, -1)
  speeds.learn('a', m, 10, 0)
  expect(speeds.expectedMs('a', m, 1)).toBeUndefined()
})

it('more pairs than anybody has are forgotten, the one unused longest first', () => {
  const speeds = new Speeds()
  for (let each = 0; each < 10_000; each++) speeds.learn(`b${each}`, m, 1, 1)
  speeds.learn('b0', m, 1, 1)
  speeds.learn('one more', m, 1, 1)
  expect(speeds.expectedMs('b0', m, 1)).toBe(1)
  expect(speeds.expectedMs('b1', m, 1)).toBeUndefined()
  expect(speeds.expectedMs('b2', m, 1)).toBe(1)
})

it('where routing knows a machine its word holds, and only how much parts are answered is learned', () => {
  const known = new Map([['fast', { readMs: 0.5, writeMs: 10 }]])
  const speeds = new Speeds((backend, model) => (model === m ? known.get(backend) : undefined))
  // How much a part is answered nobody can say before the first one.
  expect(speeds.expectedMs('fast', m, 100)).toBeUndefined()
  speeds.learnPart('slow', m, { tokens: 100, answerTokens: 20, workMs: 2_000 })
  expect(speeds.expectedMs('fast', m, 50)).toBe(50 * 0.5 + 10 * 10)
  expect(speeds.expectedMs('slow', m, 50)).toBe(1_000)
  speeds.learnPart('fast', m, { tokens: 100, answerTokens: 20, workMs: 9_000 })
  expect(speeds.expectedMs('fast', m, 50)).toBe(125)
  expect(speeds.unitsPerMs('fast', m)).toBeUndefined()
})

it('a machine of which routing knows nothing, or that does not count, is known by its own parts', () => {
  const speeds = new Speeds(() => undefined)
  speeds.learnPart('a', m, { tokens: 4, answerTokens: 2, workMs: 8 })
  speeds.learnPart('b', m, { tokens: 4, answerTokens: undefined, workMs: 16 })
  expect([speeds.expectedMs('a', m, 1), speeds.expectedMs('b', m, 1)]).toEqual([2, 4])
})
