import type { LeafKind } from './schema-tree.ts'

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
])

/** Text from the environment → the value that its key wants. What does not fit stays text, for the schema to refuse. */
export function coerce(words: string, kind: LeafKind): unknown {
  switch (kind) {
    case 'number':
      return /^[+-]?\d+(\.\d+)?$/.test(words.trim()) ? Number(words) : words
    case 'boolean':
      return booleans.get(words.trim().toLowerCase()) ?? words
    case 'list':
      return words
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== '')
    case 'text':
      return words
  }
}
