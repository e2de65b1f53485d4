import { expect, it } from 'vitest'
import type { InnerAnswer } from '../../src/core/inner-call.ts'
import { Tally } from '../../src/split/tally.ts'

const figures = {
  totalNs: 1,
  loadNs: 2,
  promptTokens: 3,
  promptNs: 4,
  outputTokens: 5,
  outputNs: 6,
}
const answerOf = (backend: string, more: Partial<InnerAnswer> = {}): InnerAnswer => ({
  status: 200,
  body: Buffer.alloc(0),
  code: undefined,
  backend,
  attempts: 1,
  waitMs: 0,
  servedMs: 10,
  figures,
  ...more,
})

it('a tally adds up what the answers say, and whose they are', () => {
  const tally = new Tally()
  tally.answered(answerOf('a'), 'stop', 0)
  tally.answered(answerOf('b', { servedMs: 30 }), 'stop', 5)
  tally.answered(answerOf('a', { figures: undefined }), 'stop', 100)
  expect(tally.backends).toEqual({ a: 2, b: 1 })
  expect(tally.workMs).toBe(50)
  expect(tally.figures).toEqual({
    totalNs: 2,
    loadNs: 4,
    promptTokens: 6,
    promptNs: 8,
    outputTokens: 10,
    outputNs: 12,
  })
  // From the middle one to the last.
  expect(tally.stragglerMs).toBe(95)
})

it('one answer that was cut by its length makes that of the whole', () => {
  const tally = new Tally()
  expect(tally.doneReason).toBe('stop')
  tally.answered(answerOf('a'), 'length', 0)
  tally.answered(answerOf('a'), 'stop', 0)
  expect(tally.doneReason).toBe('length')
})

it('a failed part is named as people count', () => {
  const tally = new Tally()
  const part = { index: 4, start: 0, end: 1, from: 0, text: 'x', tokens: 1, label: 'line 5' }
  tally.failed(part, 'out of luck')
  expect(tally.failures).toEqual([{ part: 5, label: 'line 5', error: 'out of luck' }])
  expect([tally.stragglerMs, tally.workMs, tally.backends]).toEqual([0, 0, {}])
})

it('a backend with the name of a property of every object is counted like all others', () => {
  const tally = new Tally()
  for (const name of ['constructor', 'constructor', '__proto__'])
    tally.answered(answerOf(name), 'stop', 0)
  expect(JSON.stringify(tally.backends)).toBe('{"constructor":2,"__proto__":1}')
})
