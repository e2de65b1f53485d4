import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CannotCombine } from '../../../src/split/combine/combiner.ts'
import { type ReduceCall, type ReduceOptions, reduce } from '../../../src/split/combine/reduce.ts'
import { combined } from './help.ts'

interface Asked extends ReduceCall {
  readonly prompt: string
}

/** A model that says which call it was, and remembers what it was shown. */
function model(options: Partial<ReduceOptions> = {}) {
  const asked: Asked[] = []
  const say =
    options.ask ?? (async (_: string, call: ReduceCall) => `said ${call.level}.${call.group}`)
  const make = (parts: number) =>
    reduce({
      parts,
      tokensOf: (text) => text.length,
      tokensMax: 1_000,
      instruction: 'Join.',
      question: undefined,
      ...options,
      ask: (prompt, call) => {
        asked.push({ prompt, ...call })
        return say(prompt, call)
      },
    })
  return { asked, make }
}

/** Estimates by which the whole weighs as much as its pieces, less, and more. */
const scales = [
  (text: string) => text.length,
  (text: string) => Math.ceil(text.length / 40),
  (text: string) => Math.floor(text.length / 40),
]

describe('a reduction by a model', () => {
  it('asks nothing for a single answer', async () => {
    const { asked, make } = model()
    const combiner = make(1)
    expect(await combined(combiner, ['only'])).toBe('only')
    expect(asked).toEqual([])
    expect(combiner.notes).toEqual({ levels: 0, calls: 0 })
  })

  it('shows all answers in order, each set off with its label, behind the instruction and the question', async () => {
    const { asked, make } = model({ question: 'Sum up this log.' })
    expect(await combined(make(3), ['one', new Error('it died'), 'three\n'])).toBe('said 1.1')
    expect(asked).toEqual([
      {
        level: 1,
        group: 1,
        groups: 1,
        prompt: `Join.

Each part was asked this:
Sum up this log.

<<<<< part 1 of 3 (line 1)
one
>>>>> end of part 1 of 3 (line 1)

<<<<< part 2 of 3 (line 2)
[part 2 of 3 (line 2) is missing: it died]
>>>>> end of part 2 of 3 (line 2)

<<<<< part 3 of 3 (line 3)
three
>>>>> end of part 3 of 3 (line 3)
`,
      },
    ])
  })

  it('has an instruction of its own', async () => {
    const { asked, make } = model({ instruction: undefined, tokensMax: 5_000 })
    await combined(make(2), ['a', 'b'])
    expect(asked[0]?.prompt).toMatch(/^Below are answers/)
  })

  it('goes up by as many levels as it takes, every answer shown once, no prompt too large', async () => {
    const answers = fc.array(
      fc.oneof(fc.nat(300), fc.nat(30)).map((length) => 'x'.repeat(length)),
      { minLength: 2, maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(answers, fc.constantFrom(...scales), async (texts, tokensOf) => {
        const { asked, make } = model({ tokensOf, tokensMax: tokensOf('x'.repeat(1_000)) })
        const combiner = make(texts.length)
        const out = await combined(combiner, texts)
        const last = asked.at(-1)
        expect(out).toBe(`said ${last?.level}.1`)
        expect(last?.groups).toBe(1)
        for (const { prompt } of asked) {
          expect(tokensOf(prompt)).toBeLessThanOrEqual(tokensOf('x'.repeat(1_000)))
          expect(prompt.split('\n<<<<< ').length).toBeGreaterThan(2)
        }
        const prompts = asked.map(({ prompt }) => prompt).join('')
        for (const [index, text] of texts.entries()) {
          const framed = `<<<<< part ${index + 1} of ${texts.length} (line ${index + 1})\n${text}\n`
          expect(prompts.split(framed)).toHaveLength(2)
        }
        expect(combiner.notes).toEqual({ levels: last?.level, calls: asked.length })
      }),
    )
  })

  it('shows every answer in the first level where they fit side by side', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 40 }), fc.nat(150), async (count, length) => {
        const { asked, make } = model()
        await combined(make(count), Array(count).fill('x'.repeat(length)))
        const first = asked.filter(({ level }) => level === 1).map(({ prompt }) => prompt)
        const shown = first.join('').match(/^<<<<< part \d+ of/gm)
        expect(shown).toHaveLength(count)
        expect(new Set(shown).size).toBe(count)
      }),
    )
  })

  it('asks all groups of a level at once', async () => {
    const open: (() => void)[] = []
    const { asked, make } = model({
      ask: (_, call) =>
        new Promise((resolve) => {
          open.push(() => resolve(`said ${call.level}.${call.group}`))
        }),
    })
    const out = combined(make(6), Array(6).fill('x'.repeat(300)))
    await new Promise(setImmediate)
    expect(asked.map(({ group, groups }) => `${group}/${groups}`)).toEqual(['1/3', '2/3', '3/3'])
    for (const answer of open.splice(0).reverse()) answer()
    await new Promise(setImmediate)
    expect(asked.at(-1)?.prompt).toMatch(/parts 1-2 of 6\nsaid 1.1.*said 1.2.*said 1.3/s)
    open[0]!()
    expect(await out).toBe('said 2.1')
  })

  it('names an answer that has no place beside another, before anything is asked', async () => {
    const { asked, make } = model()
    const error = await combined(make(5), ['a', 'b', 'x'.repeat(900), 'c', 'd']).catch(
      (thrown) => thrown,
    )
    expect(error).toBeInstanceOf(CannotCombine)
    expect(error).toMatchObject({
      index: 2,
      message: expect.stringContaining('part 3 of 5 (line 3)'),
    })
    expect(asked).toEqual([])
  })

  it('gives up when a level can not become smaller', async () => {
    const half = 'x'.repeat(600)
    await expect(combined(model().make(2), [half, half])).rejects.toThrow(CannotCombine)
    const talkative = model({ ask: async () => half })
    await expect(combined(talkative.make(6), Array(6).fill('x'.repeat(300)))).rejects.toThrow(
      /^the answer to parts \d-\d of 6 has about/,
    )
    expect(talkative.asked).toHaveLength(3)
  })

  it('does not ask a model about nothing but holes', async () => {
    const { asked, make } = model({ tokensMax: 400 })
    const gone = new Error('gone')
    await combined(make(7), ['x'.repeat(100), 'y'.repeat(100), gone, gone, gone, gone, gone])
    for (const { prompt } of asked) expect(prompt).toMatch(/xxx|said/)
    await expect(combined(make(2), [gone, gone])).rejects.toThrow('no part has an answer')
  })

  it('fails as a call of it fails', async () => {
    const { make } = model({ ask: () => Promise.reject(new Error('no backend')) })
    await expect(combined(make(2), ['a', 'b'])).rejects.toThrow('no backend')
  })
})
