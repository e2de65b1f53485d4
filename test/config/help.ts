import { frameOf } from '../../src/config/frame.ts'
import { formatProblems, type Problem } from '../../src/config/problem.ts'
import { readConfig } from '../../src/config/read.ts'
import type { Settings } from '../../src/core/settings.ts'

export type Env = Record<string, string>

export function settingsFrom(text: string, env: Env = {}): Settings {
  const result = readConfig(text, { fileName: 'chasqui.yaml', env })
  if (!result.ok) throw new Error(reportOf(result.problems, text))
  return result.settings
}

export function problemsFrom(text: string, env: Env = {}): readonly Problem[] {
  const result = readConfig(text, { fileName: 'chasqui.yaml', env })
  return result.ok ? [] : result.problems
}

/** Each problem as its place and its sentence. */
export function sentences(text: string, env: Env = {}): string[] {
  return problemsFrom(text, env).map(
    ({ line, column, path, message }) => `${line}:${column} ${path} ${message}`,
  )
}

/** All problems as a terminal shows them, each with its line of the text. */
export function reportOf(problems: readonly Problem[], text: string): string {
  return formatProblems(problems, (line, column) => frameOf(text, line, column))
}
