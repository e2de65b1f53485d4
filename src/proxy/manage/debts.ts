import { readFileSync, renameSync } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
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

  /** `notice` hears of a file that can not be read, and where it was put. */
  constructor(dataDir: string, notice: (sentence: string, detail: { file: string }) => void) {
    this.#file = join(dataDir, 'owed-deletes.json')
    this.#owed = readDebts(this.#file, notice)
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
        // Moved when it is on the disk, so that a crash or a power cut leaves the old list or the new one.
        await writeWhole(`${this.#file}.new`, text)
        await rename(`${this.#file}.new`, this.#file)
      } catch {
        // A full or read-only disk must not stop a deletion; it is then remembered until the next restart only.
      }
    })
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  await using handle = await open(file, 'w', 0o600)
  await handle.writeFile(text)
  await handle.sync()
}

/** A file that says nothing that can be understood is kept beside: a start must not fail for it, nor lose it. */
function readDebts(
  file: string,
  notice: (sentence: string, detail: { file: string }) => void,
): Map<string, Set<string>> {
  try {
    return debtsIn(readFileSync(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    const aside = `${file}.unreadable`
    try {
      renameSync(file, aside)
      notice('the list of owed deletions can not be read; it was put aside', { file: aside })
    } catch {
      notice('the list of owed deletions can not be read', { file })
    }
    return new Map()
  }
}

/** Throws where it is no such list. */
function debtsIn(text: string): Map<string, Set<string>> {
  const read: unknown = JSON.parse(text)
  if (typeof read !== 'object' || read === null || Array.isArray(read))
    throw new Error('no map from backend to models')
  return new Map(
    Object.entries(read).map(([backend, models]) => {
      if (!Array.isArray(models)) throw new Error('no list of models')
      return [backend, new Set(models.filter((model) => typeof model === 'string'))] as const
    }),
  )
}
