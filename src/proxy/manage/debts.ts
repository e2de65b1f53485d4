import { readFileSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** More missed deletions than this on one backend are not remembered: nobody deletes so many while one is away. */
const debtsMax = 1_000

/**
 * Deletions that a backend missed because it was away: done when it returns, also if the proxy was restarted in
 * between. A model that is put there again in the meantime is owed no more.
 */
export class Debts {
  readonly #file: string
  readonly #owed: Map<string, Set<string>>
  #writing: Promise<void> = Promise.resolve()

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'owed-deletes.json')
    this.#owed = readDebts(this.#file)
  }

  of(backend: string): readonly string[] {
    return [...(this.#owed.get(backend) ?? [])]
  }

  owe(backend: string, model: string): void {
    const models = this.#owed.get(backend) ?? new Set()
    if (models.size >= debtsMax) return
    models.add(model)
    this.#owed.set(backend, models)
    this.#write()
  }

  settle(backend: string, model: string): void {
    const models = this.#owed.get(backend)
    if (!models?.delete(model)) return
    if (models.size === 0) this.#owed.delete(backend)
    this.#write()
  }

  /** Ends when everything remembered so far is on disk. */
  written(): Promise<void> {
    return this.#writing
  }

  #write(): void {
    const text = JSON.stringify(
      Object.fromEntries([...this.#owed].map(([backend, models]) => [backend, [...models]])),
    )
    this.#writing = this.#writing.then(async () => {
      try {
        await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 })
        // Written aside and moved, so that a crash leaves the old list or the new one.
        await writeFile(`${this.#file}.new`, text, { mode: 0o600 })
        await rename(`${this.#file}.new`, this.#file)
      } catch {
        // A full or read-only disk must not stop a deletion; it is then remembered until the next restart only.
      }
    })
  }
}

function readDebts(file: string): Map<string, Set<string>> {
  try {
    const read: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof read !== 'object' || read === null) return new Map()
    return new Map(
      Object.entries(read).flatMap(([backend, models]) =>
        Array.isArray(models)
          ? [[backend, new Set(models.filter((model) => typeof model === 'string'))] as const]
          : [],
      ),
    )
  } catch {
    return new Map() // none yet, or unreadable: nothing is owed
  }
}
