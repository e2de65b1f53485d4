import fc from 'fast-check'
import { expect } from 'vitest'
import type { CutWishes, Part } from '../../../src/split/cut/splitter.ts'

/** A token a UTF-16 unit: limits can be read off a text. */
export function wishesOf(wishes: Partial<CutWishes> = {}): CutWishes {
  return {
    size: undefined,
    overlap: 0,
    tokensMax: 100_000,
    tokensOf: (text) => text.length,
    language: undefined,
    ...wishes,
  }
}

export function textsOf(parts: readonly Part[]): string[] {
  return parts.map(({ text }) => text)
}

export function labelsOf(parts: readonly Part[]): string[] {
  return parts.map(({ label }) => label)
}

/** The input as the parts divide it. */
export function slicesOf(text: string, parts: readonly Part[]): string[] {
  return parts.map(({ start, end }) => text.slice(start, end))
}

/** What every splitter promises. */
export function expectWhole(text: string, parts: readonly Part[], wishes: CutWishes): void {
  let at = 0
  for (const [index, part] of parts.entries()) {
    expect(part.index).toBe(index)
    expect(part.start).toBe(at)
    expect(part.end).toBeGreaterThan(part.start)
    expect(part.from).toBeGreaterThanOrEqual(parts[index - 1]?.start ?? 0)
    expect(part.from).toBeLessThanOrEqual(part.start)
    if (wishes.overlap === 0) expect(part.from).toBe(part.start)
    expect(part.tokens).toBe(Math.ceil(wishes.tokensOf(part.text)))
    expect(part.tokens).toBeLessThanOrEqual(wishes.tokensMax)
    expect(part.label).not.toBe('')
    at = part.end
  }
  expect(at).toBe(text.length)
  expect(slicesOf(text, parts).join('')).toBe(text)
  expect(cutsWithinPairs(text, parts)).toEqual([])
}

export function cutsWithinPairs(text: string, parts: readonly Part[]): number[] {
  return parts
    .flatMap(({ from, start }) => [from, start])
    .filter((at) => /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1)))
}

const field = fc.oneof(
  fc.stringMatching(/^[a-z0-9 ]{0,6}$/),
  fc.stringMatching(/^[a-z,\n"]{0,6}$/).map((text) => `"${text.replaceAll('"', '""')}"`),
)
const row = fc.array(field, { minLength: 3, maxLength: 3 }).map((fields) => fields.join(','))
export const csvTexts = fc
  .array(row, { minLength: 1, maxLength: 12 })
  .map((rows) => `name,size,note\n${rows.join('\n')}\n`)

const block = fc.constantFrom(
  '# Aims\n',
  '## Ends and *means*\n\n',
  'Setext\n======\n\n',
  'Some prose. It has two sentences,\nand a wrapped line.\n\n',
  '```ts\nconst a = 1\n\n# no heading\n```\n\n',
  '~~~\nnever closed\n',
  '| a | b |\n|---|---|\n| 1 | 2 |\n\n',
  '- one\n- two\n\n  more of two\n  - three\n\n',
  '1. first\n2. second\n\n',
  '> quoted\n> text. More of it.\n\n',
  '    indented code\n\n',
  '<div>\n\nhtml\n</div>\n\n',
  '---\n',
  '[a]: http://example.org\n',
  'é 你好。世界！ 👩‍👩‍👧 🇵🇪\r\n\r\n',
  '\n\n',
)
export const markdownTexts = fc.array(block, { maxLength: 14 }).map((blocks) => blocks.join(''))

const codeBlock = fc.constantFrom(
  'import { a } from "b"\n',
  '// why\nfunction one() {\n  return 1\n}\n\n',
  'export class Two {\n  // inner\n  a() { return "é👍" }\n\n  b() {\n    return 2\n  }\n}\n',
  'def three(x):\n    return x\n\n',
  '@decorated\nclass Four:\n    pass\n',
  'const five = [\n  1,\n  2,\n]\r\n',
  '}\n',
  'fn six() -> u8 { 6 }\n',
  '/* never closed\n',
)
export const codeTexts = fc.array(codeBlock, { maxLength: 12 }).map((blocks) => blocks.join(''))

const logLine = fc.constantFrom(
  '2024-05-01 10:00:00 ERROR broke\n',
  'Traceback:\n',
  '  at line 1\n',
  '\n',
  'plain\n',
  '{"a":1}\n',
  '[1,2]\n',
  '---\n',
  'key: value\n',
  '"quote,\n',
)
export const recordTexts = fc.oneof(
  fc.array(logLine, { maxLength: 14 }).map((lines) => lines.join('')),
  fc.array(fc.jsonValue()).map((values) => JSON.stringify(values, undefined, 1)),
  fc.array(fc.jsonValue()).map((values) => values.map((each) => JSON.stringify(each)).join('\n')),
  csvTexts,
)

export const unicodeTexts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc
    .array(
      fc.oneof(
        fc.string({ unit: 'grapheme', maxLength: 12 }),
        fc.constantFrom(
          ' ',
          '\n',
          '\n\n',
          '\r\n',
          '. ',
          '。',
          '\ud83d',
          '\udc4d',
          '\ufeff',
          '\0',
          '\r',
        ),
      ),
    )
    .map((pieces) => pieces.join('')),
)
