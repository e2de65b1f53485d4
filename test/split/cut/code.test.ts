import { describe, expect, it } from 'vitest'
import { cutCode } from '../../../src/split/cut/code.ts'
import { parserOf } from '../../../src/split/cut/grammars.ts'
import { grammarNamed, guessGrammar } from '../../../src/split/cut/languages.ts'
import { PartTooLarge } from '../../../src/split/cut/splitter.ts'
import { cutText } from '../../../src/split/cut/splitters.ts'
import { expectWhole, labelsOf, slicesOf, wishesOf } from './help.ts'

/** No blank lines, so that only a parser can tell where the definitions begin. */
const programs = {
  python: [
    'import os\n# why\n@cached\ndef one(a):\n    return a\n',
    'class Two:\n    def inner(self):\n        return """\ndef not_one():\n"""\n',
    'async def three():\n    pass\n',
  ],
  typescript: [
    "import { a } from 'b'\n/** Why. */\nexport async function one(a: number) {\n  return `\nfunction no() {}\n`\n}\n",
    '@decorated\nexport class Two {\n  inner() {}\n}\n// about three\nexport const three = () => 3 // trailing\n',
    'interface Four {\n  a: string\n}\n',
  ],
  go: [
    'package main\n// One does.\nfunc One() int {\n\treturn 1\n}\n',
    'type Two struct {\n\tA int\n}\n',
    'func (t *Two) Three() {\n\tx := `\nfunc no() {}\n`\n\t_ = x\n}\n',
  ],
  rust: [
    'use std::fmt;\n/// One.\n#[inline]\npub fn one() -> u8 {\n    1\n}\n',
    '#[derive(Debug)]\nstruct Two {\n    a: u8,\n}\n',
    'impl Two {\n    fn three(&self) {}\n}\n',
  ],
} as const

const labels = {
  python: ['function one, lines 1-5', 'class Two, lines 6-10', 'function three, lines 11-12'],
  typescript: ['function one, lines 1-7', 'class Two, lines 8-13', 'interface Four, lines 14-16'],
  go: ['function One, lines 1-5', 'type Two, lines 6-8', 'method Three, lines 9-14'],
  rust: ['function one, lines 1-6', 'struct Two, lines 7-10', 'impl Two, lines 11-13'],
}

const languages = ['python', 'typescript', 'go', 'rust'] as const

describe.each(languages)('a program in %s', (language) => {
  const text = programs[language].join('')
  const size = Math.max(...programs[language].map((definition) => definition.length))

  it('is cut at its definitions, with their comments and decorators', async () => {
    const parts = await cutText('code', text, wishesOf({ language, size }))
    expectWhole(text, parts, wishesOf())
    expect(slicesOf(text, parts)).toEqual(programs[language])
    expect(labelsOf(parts)).toEqual(labels[language])
  })

  it('is known without being named', async () => {
    expect(guessGrammar(text)).toBe(language)
    expect(slicesOf(text, await cutText('code', text, wishesOf({ size })))).toEqual(
      programs[language],
    )
  })
})

describe('code', () => {
  it('is really parsed, in every language that is named', async () => {
    const grammars = ['bash', 'c#', 'c', 'css', 'go', 'java', 'jsx', 'php', 'ps1', 'py', 'rb']
    for (const name of [...grammars, 'rs', 'tsx', 'ts'])
      expect(await parserOf(grammarNamed(name)!), name).toBeDefined()
  })

  it.each([
    ['Python', 'python'],
    ['.rs', 'rust'],
    ['src/app.TSX', 'tsx'],
    ['C++', 'cpp'],
    ['cobol', undefined],
  ])('of %s has the grammar %s', (name, grammar) => {
    expect(grammarNamed(name)).toBe(grammar)
  })

  it('cuts a large class at its members, and what is larger still at lines', async () => {
    const text =
      'export class Big {\n  one() {\n    return 1\n  }\n  // two\n  two() {\n    first()\n    second()\n  }\n}\n'
    const at = async (size: number) => {
      const parts = await cutText('code', text, wishesOf({ language: 'ts', size }))
      return parts.map(({ start, end, label }) => [text.slice(start, end), label])
    }
    expect(await at(60)).toEqual([
      ['export class Big {\n  one() {\n    return 1\n  }\n', 'class Big, lines 1-4'],
      ['  // two\n  two() {\n    first()\n    second()\n  }\n}\n', 'method two, lines 5-10'],
    ])
    expect(await at(32)).toEqual([
      ['export class Big {\n  one() {\n', 'class Big, lines 1-2'],
      ['    return 1\n  }\n', 'method one, lines 3-4'],
      ['  // two\n  two() {\n    first()\n', 'method two, lines 5-7'],
      ['    second()\n  }\n}\n', 'method two, lines 8-10'],
    ])
  })

  it('refuses a line that is too large', async () => {
    const text = `const a = 1\nconst b = "${'x'.repeat(50)}"\n`
    const cut = cutText('code', text, wishesOf({ language: 'ts', tokensMax: 40 }))
    await expect(cut).rejects.toThrow(PartTooLarge)
    await expect(cut).rejects.toThrow('line 2')
  })

  const indented = 'one:\n  a\n\n  b\n\n\ntwo {\n  c\n\n}\n\nthree\n'
  const units = ['one:\n  a\n\n  b\n\n\n', 'two {\n  c\n\n}\n\n', 'three\n']

  it('goes by the indentation in a language that it has no grammar for', async () => {
    const parts = await cutText('code', indented, wishesOf({ language: 'cobol', size: 18 }))
    expect(slicesOf(indented, parts)).toEqual(units)
    expect(labelsOf(parts)).toEqual(['lines 1-6', 'lines 7-11', 'line 12'])
  })

  it('goes by the indentation where the parsers are not installed', async () => {
    const text = programs.python.join('\n\n')
    const parts = await cutCode(
      text,
      wishesOf({ language: 'python', size: 75 }),
      async () => undefined,
    )
    expect(slicesOf(text, parts)).toEqual([
      `${programs.python[0]}\n\n`,
      `${programs.python[1]}\n\n`,
      programs.python[2],
    ])
    expect(labelsOf(parts)[0]).toBe('lines 1-7')
  })

  it('goes by the indentation where the parser makes no sense of it', async () => {
    const parts = await cutText('code', indented, wishesOf({ language: 'go', size: 18 }))
    expect(slicesOf(indented, parts)).toEqual(units)
  })

  it('is 1024 tokens to a part', async () => {
    const text = 'function some() {}\n'.repeat(100)
    const parts = await cutText('code', text, wishesOf({ language: 'js' }))
    expect(parts.map(({ tokens }) => tokens)).toEqual([1007, 893])
  })
})
