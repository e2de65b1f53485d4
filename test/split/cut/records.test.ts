import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutItems } from '../../../src/split/cut/items.ts'
import { CannotCut, PartTooLarge } from '../../../src/split/cut/splitter.ts'
import { cutText } from '../../../src/split/cut/splitters.ts'
import { csvTexts, expectWhole, labelsOf, slicesOf, textsOf, wishesOf } from './help.ts'

const cut = (text: string, wishes = {}) => cutText('records', text, wishesOf(wishes))

/** One record a part, as it is sent. */
const each = async (text: string) => textsOf(await cut(text, { size: 1 }))

describe('records', () => {
  it('of JSON lines are lines, also when the last was cut off', async () => {
    expect(await each('{"a":1}\n\n{"a":[\t2]}\r\n{"a":')).toEqual([
      '{"a":1}\n\n',
      '{"a":[\t2]}\r\n',
      '{"a":',
    ])
  })

  it('of a JSON array are sent as arrays of whole elements', async () => {
    const text = ' [ {"a": "x],"} ,\n  [1, 2], "\\"," ,3 ] \n'
    const wish = wishesOf({ size: 2, overlap: 1 })
    const parts = await cut(text, wish)
    expectWhole(text, parts, wish)
    expect(textsOf(parts)).toEqual(['[{"a": "x],"} ,\n  [1, 2]]', '[[1, 2], "\\"," ,3]'])
    expect(slicesOf(text, parts)).toEqual([' [ {"a": "x],"} ,\n  [1, 2],', ' "\\"," ,3 ] \n'])
    expect(await each('[]')).toEqual(['[]'])
  })

  it('of any JSON array come together to the same elements', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue()),
        fc.constantFrom(undefined, 1, '\t'),
        fc.integer({ min: 1, max: 5 }),
        async (values, indent, size) => {
          const text = `${JSON.stringify(values, undefined, indent)}\n`
          const parts = await cut(text, { size })
          expectWhole(text, parts, wishesOf())
          expect(parts.flatMap((part) => JSON.parse(part.text))).toEqual(JSON.parse(text))
        },
      ),
    )
  })

  it('of JSON objects may have many lines', async () => {
    const text = '{\n  "a": "}"\n}\n{"b": {}} {\n  "c": 1\n}\n'
    expect(await each(text)).toEqual(['{\n  "a": "}"\n}\n', '{"b": {}} ', '{\n  "c": 1\n}\n'])
  })

  it.each(['[{"a": 1},\n {"b"', '{"a": 1\n}\n{"b": oh}\n', '{"a": "never closed\n'])(
    'are not guessed where JSON is broken: %j',
    async (text) => {
      await expect(cut(text)).rejects.toThrow(CannotCut)
    },
  )

  it('of a table carry its header, and may have line breaks in quotes', async () => {
    const text = 'name,note\r\nA,"one\ntwo, ""three"""\r\nB,x\r\nC,y\r\n'
    const parts = await cut(text, { size: 1 })
    expect(textsOf(parts)).toEqual([
      'name,note\r\nA,"one\ntwo, ""three"""\r\n',
      'name,note\r\nB,x\r\n',
      'name,note\r\nC,y\r\n',
    ])
    expect(labelsOf(parts)).toEqual(['record 1', 'record 2', 'record 3'])
    expect(parts.map(({ from, start }) => from === start)).toEqual([true, true, true])
  })

  it('of any table have the header before each part and are never cut', async () => {
    await fc.assert(
      fc.asyncProperty(csvTexts, fc.integer({ min: 1, max: 4 }), async (text, size) => {
        const wish = wishesOf({ size })
        const parts = await cutText('records', text, wish)
        expectWhole(text, parts, wish)
        for (const part of parts) {
          expect(part.text.startsWith('name,size,note\n')).toBe(true)
          // Quotes that are open at a cut would be an odd number.
          expect(part.text.split('"').length % 2).toBe(1)
        }
      }),
    )
  })

  it('of a table count the header to every part', async () => {
    const text = 'name;note\nA;1\nB;2\nC;3\n'
    expect(textsOf(await cut(text, { tokensMax: 14 }))).toEqual([
      'name;note\nA;1\n',
      'name;note\nB;2\n',
      'name;note\nC;3\n',
    ])
    await expect(cut(text, { tokensMax: 13 })).rejects.toThrow('record 1 has about 14 tokens')
  })

  it('of a table of numbers have no header', async () => {
    expect(await each('1\t2\n3\t4\n5\t6')).toEqual(['1\t2\n', '3\t4\n', '5\t6'])
  })

  it('take a quote that never ends for an inch mark', async () => {
    expect(await each('a,b\nx,"5\ny,6\n')).toEqual(['a,b\nx,"5\n', 'a,b\ny,6\n'])
  })

  it('of YAML are documents', async () => {
    const text = '# about\n---\na: |\n  text\n--- # next\nb: 1\n...\n\nc: 2\n---\n- 1\n'
    expect(await each(text)).toEqual([
      '# about\n---\na: |\n  text\n',
      '--- # next\nb: 1\n...\n\n',
      'c: 2\n',
      '---\n- 1\n',
    ])
  })

  it.each([
    ['2024-05-01 10:00:00,123 ERROR x', '2024-05-01 10:00:01,123 INFO y'],
    ['[2024-05-01T10:00:00Z] x', '[2024-05-01T10:00:01Z] y'],
    ['May  1 10:00:00 host x', 'May  1 10:00:01 host y'],
    ['127.0.0.1 - - [01/May/2024:10:00:00 +0000] x', '::1 - - [01/May/2024:10:00:01 +0000] y'],
    ['I0501 10:00:00.000000 x', 'E0501 10:00:01.000000 y'],
    ['[    0.000001] x', '[   12.345678] y'],
    ['INFO  2024-05-01 10:00:00 x', 'ERROR 2024-05-01 10:00:01 y'],
    ['10:00:00 x', '10:00:01 y'],
  ])('of a log begin with its times: %s', async (first, second) => {
    const trace = 'Traceback (most recent call last):\n  File "x"\nValueError\n\n'
    expect(await each(`${first}\n${trace}${second}\n`)).toEqual([
      `${first}\n${trace}`,
      `${second}\n`,
    ])
  })

  it('of a log without times begin where a line is not indented', async () => {
    expect(await each('one\n  at a\n\n\tat b\ntwo\n')).toEqual(['one\n  at a\n\n\tat b\n', 'two\n'])
  })

  it('are lines where nothing else can be seen, twenty to a part', async () => {
    expect(labelsOf(await cut('plain\n\n'.repeat(45)))).toEqual([
      'records 1-20',
      'records 21-40',
      'records 41-45',
    ])
  })

  it('are never cut', async () => {
    const long = JSON.stringify({ text: 'x'.repeat(50) })
    const refused = cut(`{"a":1}\n${long}\n`, { tokensMax: 40 })
    await expect(refused).rejects.toThrow(PartTooLarge)
    await expect(refused).rejects.toMatchObject({ label: 'record 2' })
    await expect(cut(`[1, ${long}]`, { tokensMax: 40 })).rejects.toMatchObject({
      label: 'record 2',
    })
  })
})

describe('items', () => {
  it('are one to a part, strings as they are and the rest as JSON', () => {
    const items = ['a "b"', { c: [1] }, null, 4, '']
    const parts = cutItems(items, wishesOf())
    expect(textsOf(parts)).toEqual(['a "b"', '{"c":[1]}', 'null', '4', ''])
    expect(labelsOf(parts)).toEqual(['item 1', 'item 2', 'item 3', 'item 4', 'item 5'])
    expect(cutItems([], wishesOf())).toEqual([])
  })

  it('are counted by the offsets, and joined by line breaks', () => {
    const parts = cutItems(['a', 'b', 'c', 'd', 'e'], wishesOf({ size: 3, overlap: 1 }))
    expect(parts).toMatchObject([
      { index: 0, start: 0, end: 3, from: 0, text: 'a\nb\nc', label: 'items 1-3' },
      { index: 1, start: 3, end: 5, from: 2, text: 'c\nd\ne', label: 'items 4-5' },
    ])
  })

  it('keep to the limits, whatever they are', () => {
    const limits = [
      fc.integer({ min: 1, max: 5 }),
      fc.nat(4),
      fc.integer({ min: 1, max: 30 }),
    ] as const
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), ...limits, (items, size, overlap, tokensMax) => {
        let parts: ReturnType<typeof cutItems>
        try {
          parts = cutItems(items, wishesOf({ size, overlap, tokensMax }))
        } catch (error) {
          expect(error).toBeInstanceOf(PartTooLarge)
          return
        }
        let at = 0
        for (const part of parts) {
          expect(part.start).toBe(at)
          expect(part.end - part.start).toBeLessThanOrEqual(size)
          expect(part.tokens).toBeLessThanOrEqual(tokensMax)
          at = part.end
        }
        expect(at).toBe(items.length)
      }),
    )
  })

  it('that are too large are named', () => {
    expect(() => cutItems(['a', 'too long'], wishesOf({ tokensMax: 5 }))).toThrow('item 2')
  })
})
