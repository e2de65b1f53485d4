import fc from 'fast-check'
import { expect, it } from 'vitest'
import { stringify } from 'yaml'
import { keysAt, type Path } from '../../src/config/schema-tree.ts'
import { problemsFrom } from './help.ts'

const sections = (keysAt([]) ?? []).filter((key) => keysAt([key]) !== undefined)
const places: Path[] = [[], ['backends', 0], ...sections.map((key) => [key])]

/** One edit away from a known key, or any word, or a name that every object has. */
function keyFor(known: readonly string[]) {
  const letter = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz_-ABC')
  const edited = fc
    .tuple(
      fc.constantFrom(...known),
      fc.nat(20),
      letter,
      fc.constantFrom('add', 'drop', 'change', 'swap', 'case'),
    )
    .map(([key, at, sign, edit]) => {
      const i = at % key.length
      if (edit === 'add') return key.slice(0, i) + sign + key.slice(i)
      if (edit === 'drop') return key.slice(0, i) + key.slice(i + 1)
      if (edit === 'change') return key.slice(0, i) + sign + key.slice(i + 1)
      if (edit === 'swap') return key.slice(0, i) + (key[i + 1] ?? '') + key[i] + key.slice(i + 2)
      return key.slice(0, i) + (key[i] ?? '').toUpperCase() + key.slice(i + 1)
    })
  const inherited = fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty')
  return fc.oneof(edited, edited, fc.string({ minLength: 1 }), inherited)
}

it('accepts no misspelt key, wherever it stands and whatever is behind it', () => {
  const misspelt = fc.constantFrom(...places).chain((path) => {
    const known = keysAt(path) ?? []
    return fc.record({
      path: fc.constant(path),
      key: keyFor(known).filter((key) => !known.includes(key)),
      value: fc.constantFrom<unknown>(null, 1, 'word', [], {}, true),
    })
  })
  fc.assert(
    fc.property(misspelt, ({ path, key, value }) => {
      const inner = new Map([[key, value]])
      const backend = new Map<string, unknown>([['url', 'http://a:1'], ...inner])
      const data =
        path.length === 0 ? inner : new Map([[path[0], path.length === 2 ? [backend] : inner]])
      const problems = problemsFrom(stringify(data, { lineWidth: 0 }))
      expect(problems.map(({ message }) => message)).toContain('is no known key')
    }),
    { numRuns: 1_000 },
  )
})
