import { describe, expect, it } from 'vitest'
import { BadCombine, readCombine } from '../../../src/split/combine/options.ts'

function faultsOf(given: unknown): readonly string[] {
  try {
    readCombine(given)
  } catch (error) {
    if (error instanceof BadCombine) return error.faults
  }
  return []
}

describe('what a request says of combining', () => {
  it('is concat where it says nothing', () => {
    expect(readCombine(undefined)).toEqual({ by: 'concat' })
  })

  it('can be a name or an object', () => {
    expect(readCombine('vote')).toEqual({ by: 'vote' })
    expect(readCombine({ by: 'concat', with: '' })).toEqual({ by: 'concat', with: '' })
    const reduce = { by: 'reduce', instruction: 'Sum up.', model: 'llama3.2' }
    expect(readCombine(reduce)).toEqual(reduce)
    expect(readCombine({ by: 'json', with: undefined })).toEqual({ by: 'json' })
  })

  it('is refused with the word that was meant', () => {
    expect(() => readCombine('concta')).toThrow('did you mean "concat"?')
    expect(() => readCombine({ by: 'reduce', instrution: 'x' })).toThrow(
      'did you mean "instruction"?',
    )
  })

  it('is refused with every fault at once', () => {
    expect(faultsOf({ by: 'xml', witch: 1, instruction: 3, model: '' })).toEqual([
      '"combine.by" must be one of "concat", "json", "yaml", "reduce", "vote", not "xml" (there are: concat, json, yaml, reduce, vote)',
      '"combine.instruction" must be text',
      '"combine.model" is empty',
      '"combine.witch" is no known key, did you mean "with"?',
    ])
    expect(faultsOf({ by: 'vote', with: 'x' })).toEqual([
      '"combine.with" goes with concat, not with vote',
    ])
    expect(faultsOf({})).toHaveLength(1)
    expect(faultsOf({ by: 'concat', with: 'x'.repeat(1_001) })).toHaveLength(1)
    expect(faultsOf({ by: 'reduce', model: 'a b' })).toHaveLength(1)
  })

  it.each([null, 3, [], true, { by: 3 }, JSON.parse('{"__proto__": {"by": "vote"}}')])(
    'is refused as %j',
    (given) => {
      expect(() => readCombine(given)).toThrow(BadCombine)
    },
  )

  it('does not answer thousands of wrong keys with as many sentences', () => {
    const keys = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`k${n}`, n]))
    expect(() => readCombine({ by: 'vote', ...keys })).toThrow(/^.{1,3000}; and 4980 more$/)
  })
})
