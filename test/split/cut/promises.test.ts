import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CannotCut, PartTooLarge } from '../../../src/split/cut/splitter.ts'
import { cutText, type TextSplitterName } from '../../../src/split/cut/splitters.ts'
import { rawTokens } from '../../../src/split/cut/tokens-of.ts'
import {
  codeTexts,
  csvTexts,
  expectWhole,
  markdownTexts,
  recordTexts,
  unicodeTexts,
  wishesOf,
} from './help.ts'

const names: readonly TextSplitterName[] = [
  'lines',
  'paragraphs',
  'sentences',
  'tokens',
  'markdown',
  'code',
  'records',
]

const texts = fc.oneof(unicodeTexts, markdownTexts, codeTexts, csvTexts, recordTexts)

const wishes = fc
  .record({
    size: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
    overlap: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 30 })),
    tokensMax: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 60, max: 400 })),
    tokensOf: fc.constantFrom(
      (text: string) => text.length,
      rawTokens,
      (text: string) => rawTokens(text) * 1.37,
      // Others round up, and know no pieces.
      (text: string) => Math.ceil(text.length / 4) + 1,
    ),
    language: fc.constantFrom(undefined, 'ts', 'python', 'cobol'),
  })
  .map((wish) => wishesOf(wish))

describe.each(names)('%s', (name) => {
  it('gives the input back, whatever it is, in parts that fit', async () => {
    let cut = 0
    await fc.assert(
      fc.asyncProperty(texts, wishes, async (text, wish) => {
        try {
          const parts = await cutText(name, text, wish)
          expectWhole(text, parts, wish)
          if (parts.length > 1) cut++
        } catch (error) {
          if (!(error instanceof PartTooLarge || error instanceof CannotCut)) throw error
        }
      }),
      { numRuns: 300 },
    )
    // Refusing everything would keep every promise.
    expect(cut).toBeGreaterThan(30)
  })

  it('makes one part of what fits, and none of nothing', async () => {
    const wish = wishesOf({ size: 1000 })
    expect(await cutText(name, '', wish)).toEqual([])
    const text = 'One line. Two sentences.\n\nanother\nand one'
    const [part, ...others] = await cutText(name, text, wish)
    expect(others).toEqual([])
    expect(part).toMatchObject({ index: 0, start: 0, end: text.length, from: 0, text })
  })

  it('sends again what is before a part, and only that', async () => {
    let overlaps = 0
    await fc.assert(
      fc.asyncProperty(fc.oneof(unicodeTexts, codeTexts), async (text) => {
        const parts = await cutText(name, text, wishesOf({ size: 4, overlap: 3 })).catch(() => [])
        for (const part of parts) {
          // JSON arrays and tables are sent otherwise, Markdown carries headings.
          if (name !== 'records')
            expect(part.text.endsWith(text.slice(part.from, part.end))).toBe(true)
          if (part.from < part.start) overlaps++
        }
      }),
      { numRuns: 150 },
    )
    expect(overlaps).toBeGreaterThan(0)
  })
})

describe('prose', () => {
  it.each(['paragraphs', 'sentences', 'tokens'] as const)(
    'is never refused as long as single characters fit: %s',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 300 }), async (text) => {
          // Joined emoji are the longest characters that come up.
          const wish = wishesOf({ tokensMax: 32 })
          expectWhole(text, await cutText(name, text, wish), wish)
        }),
      )
    },
  )
})

/** Of a slow machine that is shared with other tests. */
const cpuUsMax = 15_000_000

describe('time', () => {
  it.each(['lines', 'paragraphs', 'sentences', 'tokens', 'records'] as const)(
    '%s cuts 20 MB with 200,000 lines without growing slow',
    { timeout: 120_000 },
    async (name) => {
      const line = `${'The quick brown fox jumps over the lazy dog; it went on and on. '.repeat(2).slice(0, 99)}\n`
      const text = line.repeat(200_000)
      const before = process.cpuUsage()
      const parts = await cutText(name, text, wishesOf({ tokensOf: rawTokens, tokensMax: 1e9 }))
      expect(parts.length).toBeGreaterThan(0)
      // One to two seconds when nobody else is there; quadratic time would be minutes.
      expect(process.cpuUsage(before).user).toBeLessThan(cpuUsMax)
    },
  )

  it('weighs each character of the input only a few times', async () => {
    const text = 'some words in a line\n'.repeat(20_000)
    let weighed = 0
    const tokensOf = (piece: string) => {
      weighed += piece.length
      return piece.length / 4
    }
    for (const name of ['lines', 'paragraphs', 'sentences', 'tokens', 'records'] as const) {
      weighed = 0
      await cutText(name, text, wishesOf({ tokensOf, tokensMax: 400, overlap: 3 }))
      expect(weighed / text.length).toBeLessThan(6)
    }
  })

  it('hands single huge units over in linear time', { timeout: 120_000 }, async () => {
    for (const text of ['x'.repeat(400_000), ' '.repeat(400_000), '字'.repeat(200_000)]) {
      const wish = wishesOf({ tokensOf: rawTokens, tokensMax: 1000 })
      const before = process.cpuUsage()
      expectWhole(text, await cutText('sentences', text, wish), wish)
      expect(process.cpuUsage(before).user).toBeLessThan(cpuUsMax)
    }
  })
})
