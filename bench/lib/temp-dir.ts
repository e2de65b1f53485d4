import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made = new Set<string>()

// Also when a person has had enough and presses Ctrl-C.
process.on('exit', () => {
  for (const dir of made) removeDir(dir)
})

export function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'chasqui-bench-'))
  made.add(dir)
  return dir
}

export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true })
  made.delete(dir)
}
