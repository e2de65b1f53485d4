import { describe, expect, it } from 'vitest'
import { cutItems } from '../../../src/split/cut/items.ts'
import { CannotCut, PartTooLarge } from '../../../src/split/cut/splitter.ts'
import { cutText } from '../../../src/split/cut/splitters.ts'
import { expectWhole, labelsOf, slicesOf, textsOf, wishesOf } from './help.ts'

describe('lines', () => {
  it('have their line break, also one of two letters, and the last may have none', async () => {
    const parts = await cutText('lines', 'a\r\n\nb\rc\nlast', wishesOf({ size: 1 }))
    expect(textsOf(parts)).toEqual(['a\r\n', '\n', 'b\rc\n', 'last'])
  })

  it('are refused where they would make more parts than anybody has time for', async () => {
    const wishes = wishesOf({ size: 1 })
    expect(await cutText('lines', '\n'.repeat(100_000), wishes)).toHaveLength(100_000)
    await expect(cutText('lines', '\n'.repeat(100_001), wishes)).rejects.toThrow(
      'it would be cut into 100001 parts',
    )
    const items = Array.from({ length: 100_001 }, () => 'x')
    expect(() => cutItems(items, wishes)).toThrow(CannotCut)
  })

  it('are ten to a part', async () => {
    const parts = await cutText('lines', 'x\n'.repeat(25), wishesOf())
    expect(labelsOf(parts)).toEqual(['lines 1-10', 'lines 11-20', 'lines 21-25'])
  })

  it('are never cut', async () => {
    const text = `${'short\n'.repeat(16)}${'long'.repeat(10)}\nshort\n`
    const cut = cutText('lines', text, wishesOf({ tokensMax: 20 }))
    await expect(cut).rejects.toThrow(PartTooLarge)
    await expect(cut).rejects.toMatchObject({ label: 'line 17', tokens: 41 })
  })
})

describe('paragraphs', () => {
  it('have the blank lines behind them', async () => {
    const text = '\n \none\nstill one\n\n \t\ntwo\r\n\r\nthree'
    const parts = await cutText('paragraphs', text, wishesOf({ size: 1 }))
    expect(textsOf(parts)).toEqual(['\n \none\nstill one\n\n \t\n', 'two\r\n\r\n', 'three'])
  })

  it('are five to a part', async () => {
    const parts = await cutText('paragraphs', 'x\n\n'.repeat(7), wishesOf())
    expect(labelsOf(parts)).toEqual(['paragraphs 1-5', 'paragraphs 6-7'])
  })

  it('that are too large are cut by sentences, then by words', async () => {
    const text = 'Small.\n\nFirst here. Second here. Thisoneislonger than itmaybe at all.\n\nLast.'
    const parts = await cutText('paragraphs', text, wishesOf({ tokensMax: 25 }))
    expect(slicesOf(text, parts)).toEqual([
      'Small.\n\nFirst here. ',
      'Second here. ',
      'Thisoneislonger than ',
      'itmaybe at all.\n\nLast.',
    ])
    expect(labelsOf(parts)).toEqual([
      'paragraphs 1-2',
      'paragraph 2',
      'paragraph 2',
      'paragraphs 2-3',
    ])
  })
})

describe('sentences', () => {
  it('are found in many scripts, with the white space behind them', async () => {
    const text = '  One. Two!  What?\n\nमैं घर जाता हूँ। वह गया। 今日は。明日も。'
    const parts = await cutText('sentences', text, wishesOf({ size: 1 }))
    expect(textsOf(parts)).toEqual([
      '  One. ',
      'Two!  ',
      'What?\n\n',
      'मैं घर जाता हूँ। ',
      'वह गया। ',
      '今日は。',
      '明日も。',
    ])
  })

  it('go on over a line break where the next line goes on in lower case', async () => {
    const text = 'A sentence that was\nwrapped. A title\nAnother one\r\nwrapped.\n\nand a new one'
    const parts = await cutText('sentences', text, wishesOf({ size: 1 }))
    expect(textsOf(parts)).toEqual([
      'A sentence that was\nwrapped. ',
      'A title\n',
      'Another one\r\nwrapped.\n\n',
      'and a new one',
    ])
  })

  // White space at the beginning was looked at anew with each line break: a quarter of a megabyte of them held up every
  // stream for half a minute, four of them a thread for hours.
  it('are found in white space in time that grows with its length', async () => {
    const before = process.cpuUsage()
    for (const text of ['\n'.repeat(262_144), '\t\r\n'.repeat(87_381), '\u2028'.repeat(100_000)]) {
      expectWhole(text, await cutText('sentences', text, wishesOf()), wishesOf())
      expectWhole(text, await cutText('paragraphs', text, wishesOf()), wishesOf())
    }
    expect(process.cpuUsage(before).user).toBeLessThan(10_000_000)
  })

  it('are twenty to a part', async () => {
    const parts = await cutText('sentences', 'It is so. '.repeat(45), wishesOf())
    expect(labelsOf(parts)).toEqual(['sentences 1-20', 'sentences 21-40', 'sentences 41-45'])
  })

  it('are the same wherever a window of the segmenter ends', async () => {
    const sentence = (length: number) => `${'word '.repeat(length)}end. `
    const sentences = [3000, 1, 3272, 9000, 2, 2, 3275, 40].map(sentence)
    const text = sentences.join('').replaceAll(' word', ' Word')
    const parts = await cutText('sentences', text, wishesOf({ size: 1 }))
    expect(textsOf(parts).map(({ length }) => length)).toEqual(
      sentences.map(({ length }) => length),
    )
  })
})

describe('tokens', () => {
  it('end behind the last word that fits', async () => {
    const parts = await cutText('tokens', 'one two three  four', wishesOf({ size: 9 }))
    expect(textsOf(parts)).toEqual(['one two ', 'three  ', 'four'])
    expect(labelsOf(parts)).toEqual(['characters 1-8', 'characters 9-15', 'characters 16-19'])
  })

  it('are 1024 to a part, or as many as fit', async () => {
    const text = 'abc '.repeat(1000)
    const tokens = async (tokensMax: number) =>
      (await cutText('tokens', text, wishesOf({ tokensMax }))).map((part) => part.tokens)
    expect(await tokens(9000)).toEqual([1024, 1024, 1024, 928])
    expect(await tokens(2000 - 1)).toEqual([1024, 1024, 1024, 928])
    expect((await tokens(102))[0]).toBe(100)
  })

  it('cut a word without end between what a reader takes for characters', async () => {
    const family = '👩‍👩‍👧'
    const text = `${family.repeat(20)}e\u0301${'🇵🇪'.repeat(20)}`
    const wish = wishesOf({ size: 10 })
    const parts = await cutText('tokens', text, wish)
    expectWhole(text, parts, wish)
    const characters = new Intl.Segmenter('en', { granularity: 'grapheme' })
    const count = (piece: string) => [...characters.segment(piece)].length
    expect(textsOf(parts).reduce((sum, piece) => sum + count(piece), 0)).toBe(count(text))
    expect(parts.length).toBeGreaterThan(20)
  })

  it('never leave an accent to the next part', async () => {
    const text = 'ab \u0301cd \u0301ef'
    const parts = await cutText('tokens', text, wishesOf({ size: 3 }))
    expect(textsOf(parts).filter((piece) => piece.startsWith('\u0301'))).toEqual([])
  })

  it('prefer the ends of words also where no spaces are', async () => {
    const text = '世界大战'.repeat(20)
    const parts = await cutText('tokens', text, wishesOf({ size: 7 }))
    const words = new Intl.Segmenter('en', { granularity: 'word' })
    const ends = new Set([...words.segment(text)].map(({ index }) => index))
    expect(parts.filter(({ start }) => !ends.has(start))).toEqual([])
  })

  it('refuse a character that fits nowhere', async () => {
    const cut = cutText('tokens', `ab ${'e'}${'\u0301'.repeat(30)}`, wishesOf({ tokensMax: 9 }))
    await expect(cut).rejects.toThrow(PartTooLarge)
  })
})
