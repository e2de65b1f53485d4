import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface AdminToken {
  readonly token: string
  readonly file: string
  /** True once: the moment to show it. */
  readonly isNew: boolean
}

/** The admin token of this data directory, made on first use: the same after every restart, readable by us alone. */
export async function keptAdminToken(dataDir: string): Promise<AdminToken> {
  const file = join(dataDir, 'admin-token')
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  if (kept.trim() !== '') return { token: kept.trim(), file, isNew: false }
  const token = randomBytes(24).toString('base64url')
  await writeFile(file, `${token}\n`, { mode: 0o600 })
  // The mode above counts for a new file only; an empty one may have been left with another.
  await chmod(file, 0o600)
  return { token, file, isNew: true }
}
