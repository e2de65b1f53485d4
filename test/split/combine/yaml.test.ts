import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { CannotCombine } from '../../../src/split/combine/combiner.ts'
import { yaml } from '../../../src/split/combine/yaml.ts'
import { combined } from './help.ts'

const all = (texts: (string | Error)[]) => combined(yaml({ parts: texts.length }), texts)
const documentsOf = (text: string) => parseAllDocuments(text).map((one) => one.toJS())

describe('YAML lists', () => {
  it('become one list, with their words and comments', async () => {
    const first = `---
# tasks of the first part
- name: update  # always
  apt: { update_cache: yes }
`
    const second = `Here you are:

\`\`\`yaml
  - name: "say"
    shell: |
      echo one
        echo two

    # kept
  - name: last
\`\`\`
Have fun!`
    expect(
      await all([first, second, '--- # third\n- x\n...\n# end']),
    ).toBe(`# tasks of the first part
- name: update  # always
  apt: { update_cache: yes }
- name: "say"
  shell: |
    echo one
      echo two

  # kept
- name: last
# third
- x
# end
`)
  })

  it('mean the one after the other, whatever is in them, and keep comments', async () => {
    const scalar = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '---',
        '# no',
        '- x',
        'a: b',
        '```',
        '\n',
        'a\n\n',
        '  x\ny\n',
        'é: ”',
        '...\n---\n',
      ),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    )
    const item = fc.oneof(
      scalar,
      fc.array(scalar, { maxLength: 3 }),
      fc.dictionary(fc.string(), fc.oneof(scalar, fc.array(scalar, { maxLength: 2 })), {
        maxKeys: 3,
      }),
    )
    const answer = fc.record({
      items: fc.array(item, { maxLength: 4 }),
      indent: fc.constantFrom('', '  ', '     '),
      head: fc.constantFrom('', '---\n', '\n\n', '# head\n', '# head\n---\n', '%YAML 1.2\n---\n'),
      tail: fc.constantFrom('', '\n# tail', '\n...\n', '\n---\n', '\n\n'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 4 }), async (answers) => {
        const written = answers.map(({ items, indent, head, tail }) => {
          const lines = stringify(items, { lineWidth: 0 }).trimEnd().split('\n')
          const body = lines.map((line) => (line === '' ? line : indent + line)).join('\n')
          return head + body + tail
        })
        // What the items mean is what the answer as written says: blank lines behind a text may be part of it.
        const meant = written.map(
          (text) => documentsOf(text.endsWith('\n') ? text : `${text}\n`)[0],
        )
        fc.pre(meant.every((one) => Array.isArray(one)))
        const text = await all(written)
        expect(documentsOf(text)).toEqual([meant.flat()])
        for (const mark of [/^# head$/gm, /^# tail$/gm])
          expect(text.match(mark)?.length).toBe(written.join('\n').match(mark)?.length)
      }),
      { numRuns: 300 },
    )
  })

  it('may be written in brackets, or be empty', async () => {
    expect(parse(await all(['[a, {b: 1}]', '- c', '[]', '']))).toEqual(['a', { b: 1 }, 'c'])
    expect(await all(['[]', '[]'])).toBe('[]\n')
  })

  it('keep custom tags, and each its own anchors', async () => {
    const text = '- &a !vault |\n  abc\n- *a\n'
    expect(await all([text, text])).toBe(text + text)
  })

  it('have a comment where a part is missing', async () => {
    const combiner = yaml({ parts: 3 })
    expect(await combined(combiner, ['- |+\n  a\n\n', new Error('it\ndied'), '- b'])).toBe(
      '- |+\n  a\n\n# part 2 of 3 (line 2) is missing: it died\n- b\n',
    )
    expect(combiner.notes).toEqual({ missing: ['part 2 of 3 (line 2)'] })
    await expect(all([new Error('gone')])).rejects.toThrow('no part has an answer')
  })

  it('keep a fence that is part of a text in them', async () => {
    const text = '- readme: |\n\n   ```sh\n   ls\n   ```\n'
    expect(await all([text, '- x'])).toBe(`${text}- x\n`)
  })
})

describe('other YAML', () => {
  it('follows one another as documents', async () => {
    expect(await all(['a: 1', '---\nb: 2\n---\n', '- c', '# nothing'])).toBe(
      'a: 1\n---\nb: 2\n---\n- c\n...\n# nothing\n',
    )
  })

  it('can have directives and holes between', async () => {
    const text = await all([
      '--- |\nall\n# text',
      new Error('gone'),
      'b: 2',
      '%YAML 1.2\n---\nc: 3',
    ])
    expect(documentsOf(text)).toEqual(['all\n# text\n', { b: 2 }, { c: 3 }])
    expect(text).toContain('...\n# part 2 of 4 (line 2) is missing: gone\n---\nb: 2\n...\n%YAML')
    const first = await all([new Error('gone'), 'b: 2', new Error('gone')])
    expect(documentsOf(first)).toEqual([{ b: 2 }])
  })

  it('means the one after the other', async () => {
    const map = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer()), { minKeys: 1 })
    await fc.assert(
      fc.asyncProperty(fc.array(map, { minLength: 1, maxLength: 4 }), async (maps) => {
        const written = maps.map((one) => stringify(one))
        expect(documentsOf(await all(written))).toEqual(maps.map((one) => ({ ...one })))
      }),
      { numRuns: 100 },
    )
  })
})

describe('what is not YAML', () => {
  it.each([
    [
      ['- a', '- a: 1\n b: 2'],
      /^the answer to part 2 of 2 \(line 2\) is not valid YAML in line 2: /,
    ],
    [['- a', 'a: 1\nb: 2\na: 3'], /part 2 .* in line 3: Map keys must be unique/],
    [['- a', '- *nowhere'], /part 2 .*nowhere/],
    [['- a', 'I am sorry, I can not.'], /part 2 .* is plain text/],
    [['- a', '['.repeat(20_000)], /part 2 /],
    [['- a', bomb()], /part 2 .*alias/i],
  ])('is named by part and line: %#', async (texts, sentence) => {
    const error = await all(texts).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CannotCombine)
    expect(error).toMatchObject({ message: expect.stringMatching(sentence), index: 1 })
  })

  it('is too much', () => {
    const combiner = yaml({ parts: 1 })
    expect(() => combiner.add({ index: 0, label: '', text: '-\n'.repeat(2_000_000) })).toThrow(
      '2 MiB',
    )
  })
})

/** Ten times ten times ten … of one word, in a few lines. */
function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let n = 1; n < 9; n++)
    lines.push(
      `a${n}: &a${n} [${Array(10)
        .fill(`*a${n - 1}`)
        .join(', ')}]`,
    )
  return lines.join('\n')
}
