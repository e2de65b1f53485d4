import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml'
import { coerce } from './coerce.ts'
import { Places } from './places.ts'
import type { Problem } from './problem.ts'
import { leafKindAt, type Path } from './schema-tree.ts'
import { type Environment, substitute } from './substitute.ts'

export interface ReadDocument {
  readonly data: Readonly<Record<string, unknown>>
  readonly places: Places
  readonly problems: readonly Problem[]
}

/** Aliases can make a small file mean a huge one. */
const nodesMax = 100_000
const depthMax = 50

/** YAML → plain data, where each value came from, and what is wrong with the text itself. */
export function readDocument(text: string, fileName: string, env: Environment): ReadDocument {
  const { value, isMapping, places, problems } = readValue(text, fileName, env, [])
  if (value === undefined || value === null) return { data: {}, places, problems }
  if (isMapping) return { data: value as Record<string, unknown>, places, problems }
  const problem = places.problemAt(
    0,
    'the file must be a map of settings, such as "listen: 127.0.0.1:11435"',
  )
  return { data: {}, places, problems: [...problems, problem] }
}

/** The text of a file with one backend, or a list of them → what stands under `backends` in a configuration. */
export function readBackendDocument(
  text: string,
  fileName: string,
  env: Environment,
): {
  readonly list: readonly unknown[]
  readonly places: Places
  readonly problems: readonly Problem[]
} {
  // Read as a list first, so that places, secrets and kinds are those of the configuration's own list.
  const listed = readValue(text, fileName, env, ['backends'])
  if (!listed.isMapping) {
    const { value, places, problems } = listed
    if (Array.isArray(value)) return { list: value, places, problems }
    if (problems.length > 0 || value === undefined || value === null)
      return { list: [], places, problems }
    const problem = places.problemAt(0, 'the file must be a backend, or a list of backends')
    return { list: [], places, problems: [problem] }
  }
  const { value, places, problems } = readValue(text, fileName, env, ['backends', 0])
  return { list: [value], places, problems }
}

/** The whole text as one value that stands at `path`. */
function readValue(text: string, fileName: string, env: Environment, path: Path) {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  })
  const places = new Places(fileName, lines)
  const reader = new DocumentReader(document, places, env)
  for (const error of [...document.errors, ...document.warnings])
    reader.problems.push(yamlProblem(error, document, places))
  const isWhole = document.errors.length === 0
  const value = isWhole ? reader.value(document.contents, path, 0) : undefined
  return {
    value,
    isMapping: isWhole && isMap(document.contents),
    places,
    problems: reader.problems,
  }
}

class DocumentReader {
  readonly problems: Problem[] = []
  readonly #document: Document
  readonly #places: Places
  readonly #env: Environment
  #nodes = 0

  constructor(document: Document, places: Places, env: Environment) {
    this.#document = document
    this.#places = places
    this.#env = env
  }

  value(node: unknown, path: Path, depth: number, keyStart?: number): unknown {
    this.#nodes++
    const start = (node as Node | null)?.range?.[0] ?? keyStart ?? 0
    this.#places.set(path, { in: 'file', keyStart, start, from: [] })
    if (this.#nodes > nodesMax || depth > depthMax) {
      if (this.#nodes > nodesMax ? this.#nodes === nodesMax + 1 : depth === depthMax + 1)
        this.problems.push(
          this.#places.problem(path, 'is too large or too deep to be a configuration'),
        )
      return undefined
    }
    if (isAlias(node)) {
      const meant = node.resolve(this.#document)
      if (meant) return this.value(meant, path, depth + 1, keyStart ?? start)
      const hint = 'put a value that starts with * in quotes'
      this.problems.push(
        this.#places.problem(path, 'is an alias without an anchor before it', { hint }),
      )
    }
    if (isSeq(node))
      return node.items.map((item, index) => this.value(item, [...path, index], depth + 1) ?? null)
    if (isMap(node)) {
      const entries: [string, unknown][] = []
      for (const pair of node.items) {
        const keyNode = pair.key
        const key = isScalar(keyNode) ? String(keyNode.value) : JSON.stringify(keyNode)
        const at = (keyNode as Node | null)?.range?.[0]
        const value = this.value(pair.value, [...path, key], depth + 1, at)
        // A key with nothing behind it, as when its lines are commented out, counts as left out if it is a known one.
        entries.push([key, value ?? undefined])
      }
      return Object.fromEntries(entries)
    }
    if (isScalar(node))
      return typeof node.value === 'string'
        ? this.#text(node.value, path, start, keyStart)
        : node.value
    return undefined
  }

  #text(words: string, path: Path, start: number, keyStart: number | undefined): unknown {
    const { words: filled, from, faults } = substitute(words, this.#env)
    for (const fault of faults) this.problems.push(this.#places.problem(path, fault))
    if (filled === words) return words
    this.#places.set(path, { in: 'file', keyStart, start, from })
    // Filled with nothing is as good as left out; the faulty are complained of once, here.
    if (filled === '' || faults.length > 0) return undefined
    const kind = leafKindAt(path)
    return kind === 'list' ? filled : coerce(filled, kind)
  }
}

function yamlProblem(error: YAMLError, document: Document, places: Places): Problem {
  const opened = error.code === 'MISSING_CHAR' ? openedBefore(document, error.pos[0]) : undefined
  if (opened !== undefined)
    return places.problemAt(opened, 'the quote or bracket that opens here is not closed')
  return places.problemAt(error.pos[0], ...sayYamlError(error))
}

/** Where the innermost quote or bracket around an offset opens: its end is missing, but the mistake is there. */
function openedBefore(document: Document, offset: number): number | undefined {
  let opened: number | undefined
  visit(document, {
    Node(_, node) {
      const opens = isScalar(node)
        ? node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE'
        : isCollection(node) && node.flow === true
      const [start, end] = node.range ?? [0, 0]
      if (opens && start < offset && offset <= end) opened = start
    },
  })
  return opened
}

/** In our words: those of the parser may quote the text, and the text may be a secret. */
function sayYamlError(error: YAMLError): [message: string, hint?: string] {
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return ['this key is there twice']
    case 'TAB_AS_INDENT':
      return ['a tab cannot indent', 'use spaces']
    case 'BAD_INDENT':
      return ['the indentation does not fit the lines around it']
    case 'MISSING_CHAR':
      return ['a sign is missing: a closing quote or bracket, a comma, or the space after a colon']
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY':
      return ['this is no "key: value"', 'put a value with a colon in quotes']
    case 'BAD_SCALAR_START':
      return ['a value cannot start with this sign', 'put the value in quotes']
    case 'BAD_DQ_ESCAPE':
      return ['this \\ starts no known escape', 'use single quotes to have it as it stands']
    case 'MULTIPLE_DOCS':
      return ['a second document starts here, and there can be only one']
    case 'TAG_RESOLVE_FAILED':
      return ['tags mean nothing here', 'put a value that starts with ! in quotes']
    case 'KEY_OVER_1024_CHARS':
      return ['this key is too long to be one']
    default:
      return ['this is no YAML', 'the mistake may be on the line before']
  }
}
