import { type ConfigResult, checkConfig } from './check.ts'
import { readDocument } from './document.ts'
import type { Environment } from './substitute.ts'

/** The text of a file → settings, or all of its problems at once. */
export function readConfig(
  text: string,
  { fileName, env, cwd = process.cwd() }: { fileName: string; env: Environment; cwd?: string },
): ConfigResult {
  const { data, places, problems } = readDocument(text, fileName, env)
  return checkConfig(data, places, { env, cwd, before: problems })
}
