import { describe, expect, it } from 'vitest'
import { combinerFor } from '../../../src/split/combine/combiners.ts'
import { readCombine } from '../../../src/split/combine/options.ts'
import { combined } from './help.ts'

const context = {
  parts: 2,
  lineLike: true,
  overlapping: false,
  schema: undefined,
  question: undefined,
  ask: async (prompt: string) => prompt.slice(0, 5),
  tokensOf: (text: string) => text.length,
  tokensMax: 10_000,
}

describe('a combiner', () => {
  it.each([
    [undefined, '[1]\n[2]'],
    [{ by: 'concat', with: '+' }, '[1]+[2]'],
    ['json', '[1,2]'],
    ['yaml', '- 1\n- 2\n'],
    ['vote', '[1]'],
    [{ by: 'reduce', instruction: 'Join them.' }, 'Join '],
  ])('is made of %j', async (given, text) => {
    expect(await combined(combinerFor(readCombine(given), context), ['[1]', '[2]'])).toBe(text)
  })

  it('holds JSON to the schema', async () => {
    const schema = { type: 'array', maxItems: 1 }
    const combiner = combinerFor(readCombine('json'), { ...context, schema })
    await expect(combined(combiner, ['[1]', '[2]'])).rejects.toThrow('does not meet the schema')
  })
})
