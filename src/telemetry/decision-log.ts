import { constants } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { toJson } from '../core/every-number.ts'
import type { Observer } from '../core/observer.ts'

/** Of one file; with the one before it there are never more than two of them. */
const fileBytesMax = 64 * 1_048_576
/** Entries that wait to be written: a burst of a moment. A large one has some hundred kilobytes. */
const pendingMax = 256
/** Text that is made in one turn, or a long line would hold up every stream. */
const batchBytes = 65_536

export interface DecisionLogDoors {
  readonly observer: Pick<Observer, 'noticed' | 'decisionsDropped'>
  /** For tests. */
  readonly fileBytesMax?: number
}

/**
 * Decisions as lines of JSON in a file that only its owner can read. Whoever notes one never waits: lines are made and
 * written in turns of their own, and what comes faster than that is dropped and counted. A file that has grown full is
 * renamed to `.1`, in the place of the one before.
 */
export class DecisionLog {
  readonly #path: string
  readonly #doors: DecisionLogDoors
  #pending: object[] = []
  #writing: Promise<void> | undefined
  #file: { readonly handle: FileHandle; size: number } | undefined
  #isOver = false

  constructor(path: string, doors: DecisionLogDoors) {
    this.#path = path
    this.#doors = doors
  }

  /** Nobody may change the entry after this. */
  note(entry: object): void {
    if (this.#isOver || this.#pending.length >= pendingMax)
      return this.#doors.observer.decisionsDropped(1)
    this.#pending.push(entry)
    this.#writing ??= this.#write()
  }

  /** Ends when all that was noted is in the file. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.#writing
    await this.#file?.handle.close()
    this.#file = undefined
  }

  /** Never rejects: a log that can not be written is no reason to serve nobody. */
  async #write(): Promise<void> {
    try {
      do {
        await nextTurn()
        const { text, count } = this.#batch()
        await this.#append(text)
        this.#pending.splice(0, count)
      } while (this.#pending.length > 0)
    } catch (error) {
      this.#isOver = true
      this.#doors.observer.decisionsDropped(this.#pending.length)
      this.#pending = []
      this.#doors.observer.noticed(
        'decisions are not noted any more: their file can not be written (routing.decision_log)',
        { error: error instanceof Error ? error.message : String(error) },
      )
    } finally {
      this.#writing = undefined
    }
  }

  /** Its entries stay in line until they are in the file. */
  #batch(): { text: Buffer; count: number } {
    const lines: Buffer[] = []
    let bytes = 0
    let count = 0
    while (count < this.#pending.length && bytes < batchBytes) {
      const line = Buffer.from(`${toJson(this.#pending[count++])}\n`)
      bytes += line.length
      lines.push(line)
    }
    return { text: Buffer.concat(lines, bytes), count }
  }

  async #append(text: Buffer): Promise<void> {
    this.#file ??= await openOwn(this.#path)
    const { size, handle } = this.#file
    if (size > 0 && size + text.length > (this.#doors.fileBytesMax ?? fileBytesMax)) {
      this.#file = undefined
      await handle.close()
      await rename(this.#path, `${this.#path}.1`)
      this.#file = await openOwn(this.#path)
    }
    await this.#file.handle.appendFile(text)
    this.#file.size += text.length
  }
}

/** For nobody else to read, also where it was there before. */
async function openOwn(path: string): Promise<{ handle: FileHandle; size: number }> {
  // Opening a pipe that nobody reads would never end.
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NONBLOCK
  const handle = await open(path, flags, 0o600)
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error(`${path} is no file`)
    await handle.chmod(0o600)
    return { handle, size: stat.size }
  } catch (error) {
    await handle.close()
    throw error
  }
}
