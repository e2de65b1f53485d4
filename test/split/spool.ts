import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenSpool } from '../../src/split/shelf.ts'

/** Spool files in a folder, without a budget. */
export function spoolIn(folder: string): OpenSpool {
  return async () => {
    const path = join(folder, randomUUID())
    return { path, handle: await open(path, 'wx+'), grow() {}, [Symbol.dispose]() {} }
  }
}
