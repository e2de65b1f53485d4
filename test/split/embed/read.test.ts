import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allSurelyFit } from '../../../src/split/embed/fits.ts'
import { partBody, readInput } from '../../../src/split/embed/read.ts'
import { bestOf } from '../../help/best-of.ts'

const bytes = (text: string) => Buffer.from(text)
const partText = (text: string, from: number, to: number) =>
  partBody(readInput(bytes(text))!, from, to).toString('utf8')

/** JSON texts of a string in more than one spelling. */
const spelled = fc
  .tuple(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.constantFrom('plain', 'escaped'))
  .map(([text, how]) =>
    how === 'plain'
      ? JSON.stringify(text)
      : JSON.stringify(text).replace(
          /[^\x20-\x7e]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        ),
  )
const space = fc.constantFrom('', ' ', '\n', ' \t\r\n ')

describe('the input of a batch', () => {
  it('is found wherever it stands, with everything else left as it is', () => {
    const text = '{ "model" : "m","INPUT":[ "a" , "b\\"]" ,"c"] , "options":{"x":["]",1e-3]}}\n'
    expect(readInput(bytes(text))?.count).toBe(3)
    expect(partText(text, 1, 2)).toBe(
      '{ "model" : "m","INPUT":[ "b\\"]"] , "options":{"x":["]",1e-3]}}\n',
    )
    expect(partText(text, 0, 3)).toBe(text)
  })

  it.each([
    ['one text', '{"input":"a"}'],
    ['no text', '{"input":[]}'],
    ['token numbers', '{"input":[1,2]}'],
    ['lists of token numbers', '{"input":[[1],[2]]}'],
    ['a null among them', '{"input":["a",null]}'],
    ['two inputs, of which Go takes the last', '{"input":["a","b"],"Input":["c","d"]}'],
    ['two inputs, one of them escaped', '{"input":["a","b"],"\\u0069nput":["c","d"]}'],
    ['input only further down', '{"options":{"input":["a","b"]}}'],
    ['no object', '["a","b"]'],
    ['something behind it', '{"input":["a","b"]}{}'],
    ['an end that is missing', '{"input":["a","b"]'],
    ['a quote that is missing', '{"input":["a","b]}'],
    ['a comma too many', '{"input":["a","b",]}'],
    ['a comma too few', '{"input":["a" "b"]}'],
    ['crossed brackets', '{"x":[{]},"input":["a","b"]}'],
    ['a byte order mark', '\ufeff{"input":["a","b"]}'],
    ['nothing', ''],
  ])('is left to one server where there is %s', (_, text) => {
    const read = readInput(bytes(text))
    expect(read === undefined || read.count < 2).toBe(true)
  })

  it('gives the items in order when its parts are put together, byte for byte', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(space, spelled, space), { minLength: 2, maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.constantFrom('', '"model":"m\\"[",', '"x":{"input":["no"]}, '),
        fc.constantFrom('', ',"keep_alive":"5m"', ' , "é\\\\":[1,[2]]'),
        (items, cuts, before, after) => {
          const list = items.map(([left, item, right]) => left + item + right).join(',')
          const text = `{${before}"input":[${list}]${after}}`
          const input = readInput(bytes(text))!
          expect(input.count).toBe(items.length)
          const edges = [...new Set([0, ...cuts.map((cut) => cut % items.length), items.length])]
          edges.sort((one, other) => one - other)
          const parts = edges
            .slice(1)
            .map((to, index) => partBody(input, edges[index]!, to).toString('utf8'))
          const whole = JSON.parse(text)
          expect(parts.flatMap((part) => JSON.parse(part).input)).toEqual(whole.input)
          for (const part of parts) {
            expect(part.startsWith(`{${before}"input":[`)).toBe(true)
            expect(part.endsWith(`]${after}}`)).toBe(true)
          }
          const raw = parts.map((part) => readInput(bytes(part))!)
          const kept = raw.flatMap((part) =>
            Array.from({ length: part.count }, (_, index) =>
              part.body.toString('utf8', part.starts[index], part.ends[index]),
            ),
          )
          expect(kept).toEqual(items.map(([, item]) => item))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('holds up nobody: five megabytes are read within a few milliseconds', async () => {
    // Quotes and escapes are the slow part: this text has three bytes of them in fifteen.
    const input = Array.from({ length: 4_096 }, () => 'river \\" stone '.repeat(80))
    const body = bytes(JSON.stringify({ model: 'm', input }))
    const tookMs = await bestOf(5, async () => {
      const startedMs = performance.now()
      expect(readInput(body)?.count).toBe(4_096)
      return performance.now() - startedMs
    })
    expect(tookMs).toBeLessThan(100)
  })
})

describe('a text that surely fits', () => {
  const fits = (text: string, contextTokens: number, asJson = JSON.stringify(text)) =>
    allSurelyFit(readInput(bytes(`{"input":[${asJson},"b"]}`))!, contextTokens)

  it('has no more bytes than the context has tokens', () => {
    expect(fits('a'.repeat(508), 512)).toBe(true)
    expect(fits('a'.repeat(509), 512)).toBe(false)
    expect(fits('空'.repeat(169), 512)).toBe(true)
    expect(fits('空'.repeat(170), 512)).toBe(false)
  })

  it('is counted as it will be read, not as it is escaped', () => {
    const escaped = (text: string) =>
      `"${[...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
    expect(fits('', 512, escaped('空'.repeat(169)))).toBe(true)
    expect(fits('', 512, escaped('空'.repeat(170)))).toBe(false)
    expect(fits('', 512, escaped('a'.repeat(508)))).toBe(true)
  })

  it('is counted after the decomposition that some tokenizers make', () => {
    // One character of three bytes that becomes eighteen.
    expect(fits('\ufdfa'.repeat(28), 512)).toBe(true)
    expect(fits('\ufdfa'.repeat(29), 512)).toBe(false)
  })

  it('is no text that is broken', () => {
    expect(fits('', 512, `"\\x${'é'.repeat(100)}"`)).toBe(false)
  })
})
