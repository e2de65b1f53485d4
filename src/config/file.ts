import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ConfigError } from './problem.ts'
import type { Environment } from './substitute.ts'

export interface ConfigText {
  /** As it was named: that is how people will look for it. */
  readonly name: string
  readonly text: string
  readonly found: boolean
}

const usualName = 'chasqui.yaml'

/** Nobody writes more; somebody may name the wrong file. */
const fileBytesMax = 1 << 20

/** The file that was named, or `chasqui.yaml` if there is one here, or nothing. */
export async function readConfigFile(
  flag: string | undefined,
  env: Environment,
  cwd: string,
): Promise<ConfigText> {
  const variable = env['CHASQUI_CONFIG'] || undefined
  const name = flag ?? variable ?? usualName
  const named =
    flag !== undefined ? '--config' : variable !== undefined ? 'CHASQUI_CONFIG' : undefined
  const hint = named === undefined ? undefined : `it is named by ${named}`
  try {
    const path = resolve(cwd, name)
    if ((await stat(path)).size > fileBytesMax) throw refused(name, 'is larger than 1MiB', hint)
    const bytes = await readFile(path)
    return { name, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), found: true }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'ENOENT' && named === undefined) return { name, text: '', found: false }
    throw refused(name, sentences[code] ?? 'cannot be read', hint)
  }
}

const sentences: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'cannot be read: this user may not',
  EISDIR: 'is a directory',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'is no text in UTF-8',
}

function refused(name: string, message: string, hint: string | undefined): ConfigError {
  const where = { file: name, line: undefined, column: undefined, path: '' }
  return new ConfigError([
    { ...where, message: `the file ${message}`, ...(hint === undefined ? {} : { hint }) },
  ])
}
