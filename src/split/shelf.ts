import type { FileHandle } from 'node:fs/promises'
import { unlink } from 'node:fs/promises'

/** A new file that only this process knows; who opened it removes it, and its share of the disk with it. */
export interface SpoolFile extends Disposable {
  readonly path: string
  readonly handle: FileHandle
  /** Charges what is about to be written; throws a Failure when the disk budget is full. */
  grow(bytes: number): void
}

export type OpenSpool = () => Promise<SpoolFile>

type Kept =
  | { readonly text: string; readonly bytes: number }
  | { readonly at: number; readonly bytes: number }

/**
 * Texts put down until somebody takes them, in any order; beyond a bound they go to a file, so that a run of ten
 * thousand parts holds no more memory than one of a hundred. Disposing removes the file.
 */
export class Shelf implements AsyncDisposable {
  readonly #memoryBytesMax: number
  readonly #openSpool: OpenSpool
  readonly #kept = new Map<number, Kept>()
  #memoryBytes = 0
  #file: SpoolFile | undefined
  #fileBytes = 0
  /** One write after another: where each begins must be known. */
  #writing: Promise<unknown> = Promise.resolve()

  constructor(memoryBytesMax: number, openSpool: OpenSpool) {
    this.#memoryBytesMax = memoryBytesMax
    this.#openSpool = openSpool
  }

  get memoryBytes(): number {
    return this.#memoryBytes
  }

  get spooledBytes(): number {
    return this.#fileBytes
  }

  async put(key: number, text: string): Promise<void> {
    const bytes = Buffer.byteLength(text)
    if (this.#memoryBytes + bytes <= this.#memoryBytesMax) {
      this.#memoryBytes += bytes
      this.#kept.set(key, { text, bytes })
      return
    }
    const written = this.#writing.then(() => this.#write(text, bytes))
    this.#writing = written.catch(() => {})
    this.#kept.set(key, { at: await written, bytes })
  }

  async take(key: number): Promise<string> {
    const kept = this.#kept.get(key)
    if (kept === undefined) throw new Error(`nothing was put down for ${key}`)
    this.#kept.delete(key)
    if ('text' in kept) {
      this.#memoryBytes -= kept.bytes
      return kept.text
    }
    const buffer = Buffer.alloc(kept.bytes)
    await this.#file!.handle.read(buffer, 0, kept.bytes, kept.at)
    return buffer.toString('utf8')
  }

  async #write(text: string, bytes: number): Promise<number> {
    this.#file ??= await this.#openSpool()
    this.#file.grow(bytes)
    const at = this.#fileBytes
    this.#fileBytes += bytes
    await this.#file.handle.write(Buffer.from(text), 0, bytes, at)
    return at
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kept.clear()
    await this.#writing
    if (!this.#file) return
    using file = this.#file
    this.#file = undefined
    await file.handle.close()
    await unlink(file.path).catch(() => {})
  }
}
