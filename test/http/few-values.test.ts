import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fewValues } from '../../src/http/few-values.ts'

/** In pieces of that length. */
function look(text: string, pieceBytes = 65_536): void {
  const see = fewValues()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) see(bytes.subarray(at, at + pieceBytes))
}

// A body of 240 MB of empty lists was read in one go. The process stood still for a minute and took six gigabytes.
describe('few values', () => {
  it('refuses a body with more values than can be read in one go', () => {
    for (const unit of ['[],', '{},', '0,', '{"a":1},', '""  ,\n'])
      expect(() => look(`[${unit.repeat(600_000)}0]`)).toThrow('more than 500000 values')
  })

  it('lets through what a run can have: many parts, a long context, texts of any length', () => {
    look(JSON.stringify(Array.from({ length: 100_000 }, (_, at) => `part ${at}`)))
    look(JSON.stringify({ context: Array.from({ length: 131_072 }, (_, at) => at) }))
    look(JSON.stringify({ prompt: '[1,2,{},"'.repeat(1_000_000) }))
  })

  it('counts nothing within a text, however it is cut and whatever is escaped in it', () => {
    const text = `{"a":"${'\\"[,{\\\\'.repeat(100_000)}","b":"\\\\"}`
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), (pieceBytes) => look(text, pieceBytes)),
      { numRuns: 20 },
    )
  })
})
