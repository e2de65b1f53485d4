import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { vote } from '../../../src/split/combine/vote.ts'
import { combined } from './help.ts'

const all = (texts: (string | Error)[]) => combined(vote({ parts: texts.length }), texts)
async function notesOf(texts: (string | Error)[]) {
  const combiner = vote({ parts: texts.length })
  await combined(combiner, texts)
  return combiner.notes
}

describe('a vote', () => {
  it('is won by what most say, in the spelling of most', async () => {
    expect(await all(['no', 'Yes', 'yes.', 'YES', 'yes.'])).toBe('yes.')
    expect(await all(['Yes', 'yes.', 'no'])).toBe('Yes')
  })

  it.each([
    ['yes', ' Yes.\n'],
    ['yes', '**yes**'],
    ['yes', '"Yes!"'],
    ['yes', '“*yes*”.'],
    ['the answer is yes', 'The  answer is\n**yes**.'],
    ['yes', '```\nyes\n```'],
    ['straße', 'STRASSE'],
    ['ｙｅｓ', 'yes'],
    ['42', '42.0'],
    ['{"a": 1, "b": [1.0]}', '```json\n{"b":[1],"a":1}\n```'],
  ])('takes %j and %j for one answer', async (one, other) => {
    expect(await notesOf([one, other])).toMatchObject({ votes: [{ votes: 2 }] })
  })

  it.each([
    ['yes', 'no'],
    ['+1', '-1'],
    ['.5', '5'],
    ['12345678901234567890', '12345678901234567891'],
    ['[1,2]', '[2,1]'],
    ['*args', 'args'],
    ['.', '!'],
    ['2 * 3 * 4', '2  3  4'],
  ])('takes %j and %j for two', async (one, other) => {
    expect(await notesOf([one, other])).toMatchObject({ votes: [{ votes: 1 }, { votes: 1 }] })
  })

  it('goes to the one seen first where as many say one thing as the other, and tells', async () => {
    expect(await all(['b', 'a', 'A', 'B', 'c'])).toBe('b')
    expect((await notesOf(['b', 'a', 'A', 'B', 'c']))?.['tie']).toEqual(['b', 'a'])
    expect(await notesOf(['a', 'a', 'b'])).not.toHaveProperty('tie')
  })

  it('counts failed parts apart', async () => {
    expect(await notesOf(['a', new Error('gone'), 'a'])).toEqual({
      votes: [{ answer: 'a', votes: 2 }],
      failed: 1,
      missing: ['part 2 of 3 (line 2)'],
    })
    await expect(all([new Error('gone')])).rejects.toThrow('no part has an answer')
  })

  it('tells of twenty answers at most', async () => {
    const notes = await notesOf(Array.from({ length: 50 }, (_, n) => `answer ${n}`))
    expect(notes?.['votes']).toHaveLength(20)
    expect(notes?.['votes_more']).toBe(30)
    expect(notes?.['tie']).toHaveLength(20)
  })

  it('does not depend on the order, except where there is a tie', async () => {
    const answers = fc.array(fc.constantFrom('a', 'b', 'c', '__proto__'), { minLength: 1 })
    const shuffled = answers.chain((texts) =>
      fc.tuple(
        fc.constant(texts),
        fc.shuffledSubarray(texts, { minLength: texts.length, maxLength: texts.length }),
      ),
    )
    await fc.assert(
      fc.asyncProperty(shuffled, async ([texts, others]) => {
        const notes = await notesOf(texts)
        const winner = await all(others)
        if (notes?.['tie'] === undefined) expect(winner).toBe(await all(texts))
        else expect(notes['tie']).toContain(winner)
      }),
    )
  })

  it('takes no longer for an answer of nothing but marks', async () => {
    for (const mark of ['*', '_', '"', '.', '* ', '*a', '!.', '[', '`'])
      expect(await all([mark.repeat(200_000)])).toBe(mark.repeat(200_000).trim())
  }, 10_000)
})
