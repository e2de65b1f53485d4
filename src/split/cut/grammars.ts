import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Language, Parser } from '@vscode/tree-sitter-wasm'
import type { Grammar } from './languages.ts'

/** A parser for one language; whoever has it parses within one turn, and the next turn is somebody else's. */
export type GrammarOf = (grammar: Grammar) => Promise<Parser | undefined>

type TreeSitter = typeof import('@vscode/tree-sitter-wasm')

const packageName = '@vscode/tree-sitter-wasm'

/**
 * Like an imported module, a grammar is loaded once for the process: WebAssembly gives no memory back, so a second
 * copy would stay for ever. At most one entry for each grammar.
 */
const parsers = new Map<Grammar, Promise<Parser | undefined>>()

/** Undefined when the optional package is not installed, or its grammar does not load. */
export const parserOf: GrammarOf = (grammar) => {
  const known = parsers.get(grammar)
  if (known) return known
  const loading = load(grammar).catch(() => undefined)
  parsers.set(grammar, loading)
  return loading
}

async function load(grammar: Grammar): Promise<Parser> {
  const require = createRequire(import.meta.url)
  const treeSitter: TreeSitter = require(packageName)
  await treeSitter.Parser.init()
  const wasm = await readFile(require.resolve(`${packageName}/wasm/tree-sitter-${grammar}.wasm`))
  const language: Language = await treeSitter.Language.load(wasm)
  return new treeSitter.Parser().setLanguage(language)
}
