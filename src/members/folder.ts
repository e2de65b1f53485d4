import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readBackendFile } from '../config/backend-file.ts'
import { watchFolder } from '../config/watch.ts'
import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/observer.ts'
import type { Source } from './fleet.ts'

/** Files that are read, by name; beyond them somebody has named the wrong directory. */
const filesMax = 256
const fileBytesMax = 1 << 20
/** Of all files together. */
const backendsMax = 1_000

export interface FolderDoors {
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly noticed: Observer['noticed']
  readonly changed: () => void
}

interface Read {
  readonly text: string
  readonly backends: readonly Backend[]
}

/**
 * A directory in which other programs put backends, a file for each or several in one. It is watched. A file with an
 * error keeps what it said before, and is complained of once.
 */
export class Folder implements Source, Disposable {
  readonly #doors: FolderDoors
  readonly #files = new Map<string, Read>()
  /** By file: the text that was complained of. */
  readonly #said = new Map<string, string>()
  #path: string | undefined
  #watch: Disposable | undefined
  #reading: Promise<void> = Promise.resolve()

  constructor(doors: FolderDoors) {
    this.#doors = doors
  }

  /** Ends when what is there has been read. */
  async reconfigure(path: string | undefined): Promise<void> {
    if (path === this.#path) return
    this.#path = path
    this.#watch?.[Symbol.dispose]()
    this.#watch = undefined
    const had = this.#files.size > 0
    this.#files.clear()
    this.#said.clear()
    if (had) this.#doors.changed()
    if (path !== undefined)
      this.#watch = watchFolder(path, this.#doors.clock, () => void this.#readSoon())
    await this.#readSoon()
  }

  backends(): readonly Backend[] {
    const files = [...this.#files].sort(([one], [other]) => (one < other ? -1 : 1))
    return files.flatMap(([, { backends }]) => backends).slice(0, backendsMax)
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]()
    this.#path = undefined
  }

  /** One look after another: who asks in the middle of one may have changed what it has read. */
  #readSoon(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read())
    return this.#reading
  }

  /** Never throws. */
  async #read(): Promise<void> {
    const path = this.#path
    const names = path === undefined ? [] : await this.#namesIn(path)
    if (names === undefined || path !== this.#path) return
    const before = new Map(this.#files)
    for (const name of before.keys()) if (!names.includes(name)) this.#files.delete(name)
    for (const name of [...this.#said.keys()]) if (!names.includes(name)) this.#said.delete(name)
    for (const name of names) await this.#readFile(path ?? '', name)
    if (path === this.#path && !isSame(before, this.#files)) this.#doors.changed()
  }

  /** Undefined: it can not be read, so what was in it stays. */
  async #namesIn(path: string): Promise<string[] | undefined> {
    try {
      const names = (await readdir(path)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort()
      if (names.length > filesMax)
        this.#complain(path, String(names.length), `more than ${filesMax} files`)
      else this.#said.delete(path)
      return names.slice(0, filesMax)
    } catch (error) {
      const { code = 'no reason given' } = error as NodeJS.ErrnoException
      this.#complain(path, code, `discover.folder can not be read (${code})`)
      return undefined
    }
  }

  async #readFile(path: string, name: string): Promise<void> {
    const file = join(path, name)
    const text = await textOf(file)
    // An editor may be about to write it.
    if (text !== undefined && text.trim() === '' && this.#files.has(name)) return
    if (text === undefined)
      return this.#complain(name, '', `${file}: is no readable text up to 1MiB`)
    if (this.#files.get(name)?.text === text || this.#said.get(name) === text) return
    const read = readBackendFile(text, file, this.#doors.env)
    if (!read.ok) return this.#complain(name, text, read.report)
    this.#said.delete(name)
    this.#files.set(name, { text, backends: read.backends })
  }

  #complain(name: string, text: string, report: string): void {
    if (this.#said.get(name) === text) return
    this.#said.set(name, text)
    this.#doors.noticed('a backend file can not be used; what was before it stays', { report })
  }
}

function isSame(one: ReadonlyMap<string, Read>, other: ReadonlyMap<string, Read>): boolean {
  return one.size === other.size && [...one].every(([name, read]) => other.get(name) === read)
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > fileBytesMax) return undefined
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch {
    return undefined
  }
}
