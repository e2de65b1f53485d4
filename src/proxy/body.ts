import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import PQueue from 'p-queue'
import { Failure } from '../core/failure.ts'
import type { LimitSettings } from '../core/settings.ts'
import { Pieces } from './pieces.ts'

/** A request's body, complete in our hands: replay needs it until the exchange ends. Disposing lets it go. */
export interface HeldBody extends Disposable {
  readonly size: number
  /** Undefined for a body in a file. */
  readonly bytes: Buffer | undefined
  /** From the beginning, as often as asked. */
  open(): Uint8Array | AsyncIterable<Uint8Array>
}

/** A body that we keep in a file can not be read. */
export class SpoolTrouble extends Error {}

export const noBody: HeldBody = {
  size: 0,
  bytes: Buffer.alloc(0),
  open: () => Buffer.alloc(0),
  [Symbol.dispose]() {},
}

/**
 * Packed bodies that are unpacked at once. Two kilobytes may hold twenty megabytes, and reading them takes a core a fifth
 * of a second: fifty at once made everybody wait for half a second. With two, one is unpacked on a thread while the other
 * is read.
 */
const unpackersMax = 2

/** What all held bodies of this process may take together; who finds it full hears 503 before anything is read. */
export class BodyBudget {
  /** Turns for those who unpack. */
  readonly unpackers = new PQueue({ concurrency: unpackersMax })
  #limits: LimitSettings
  readonly #spoolDir: string
  #memory = 0
  #disk = 0

  constructor(limits: LimitSettings, dataDir: string) {
    this.#limits = limits
    // A folder of this process: the next one sweeps what a dead one left.
    this.#spoolDir = join(dataDir, 'spool', String(process.pid))
  }

  /** After a reload: for what comes next; what is held stays. */
  reconfigure(limits: LimitSettings): void {
    this.#limits = limits
  }

  get limits(): LimitSettings {
    return this.#limits
  }

  get held(): { memoryBytes: number; diskBytes: number } {
    return { memoryBytes: this.#memory, diskBytes: this.#disk }
  }

  /** Bytes in memory. Disposing gives the share back. */
  memory(): Share {
    return new Share((more) => {
      if (more > 0 && this.#memory + more > this.#limits.bodiesMemoryBytesMax)
        throw new Failure('body_budget_full', 'too many large requests are held in memory', {
          retryAfterS: 2,
        })
      this.#memory += more
    })
  }

  disk(): Share {
    return new Share((more) => {
      if (more > 0 && this.#disk + more > this.#limits.bodiesDiskBytesMax)
        throw new Failure('body_budget_full', 'too many large requests are held on disk', {
          retryAfterS: 5,
        })
      this.#disk += more
    })
  }

  async spoolFile(): Promise<{ path: string; handle: FileHandle }> {
    await mkdir(this.#spoolDir, { recursive: true, mode: 0o700 })
    const path = join(this.#spoolDir, randomUUID())
    return { path, handle: await open(path, 'wx+', 0o600) }
  }
}

/** A growing part of a budget. */
class Share implements Disposable {
  readonly #change: (bytes: number) => void
  #bytes = 0

  constructor(change: (bytes: number) => void) {
    this.#change = change
  }

  get bytes(): number {
    return this.#bytes
  }

  grow(bytes: number): void {
    this.#change(bytes)
    this.#bytes += bytes
  }

  growTo(bytes: number): void {
    if (bytes > this.#bytes) this.grow(bytes - this.#bytes)
  }

  [Symbol.dispose](): void {
    const bytes = this.#bytes
    this.#bytes = 0
    if (bytes > 0) this.#change(-bytes)
  }
}

export class ClientGone extends Error {}

const spoolPieceBytes = 256 * 1_024

/** A request's body on its way in. */
export interface ArrivingBody {
  /** As its head says, 0 where there is none; undefined: only its end will show it. */
  readonly declaredBytes: number | undefined
  /**
   * Runs `act` for every piece, in order, until the last; while it returns a promise the client is not read, which is
   * all the back-pressure needed. Undefined: all of it was there. Rejects with what `act` throws, and with ClientGone.
   */
  each(act: (chunk: Buffer) => Promise<void> | undefined): Promise<void> | undefined
}

/**
 * Takes a whole body: small ones stay in memory, larger ones go to a file. `see` is shown every chunk as it arrives,
 * so that by the end the model is known as well. One that has come already is given back at once, without a promise.
 * Throws, or rejects with, a Failure at the first byte too many, and ClientGone.
 */
export function takeBody(
  arriving: ArrivingBody,
  budget: BodyBudget,
  see: (chunk: Buffer) => void,
): HeldBody | Promise<HeldBody> {
  const { bodyBytesMax, bodyInMemoryBytesMax } = budget.limits
  const { declaredBytes } = arriving
  return declaredBytes !== undefined &&
    declaredBytes <= bodyInMemoryBytesMax &&
    declaredBytes <= bodyBytesMax
    ? takeSmall(arriving, budget, see)
    : takeLarge(arriving, budget, see)
}

/** A body that goes to a file, or of which nobody knows how long it is. */
async function takeLarge(
  arriving: ArrivingBody,
  budget: BodyBudget,
  see: (chunk: Buffer) => void,
): Promise<HeldBody> {
  const { bodyBytesMax, bodyInMemoryBytesMax } = budget.limits
  const declared = arriving.declaredBytes ?? 0
  if (declared > bodyBytesMax) throw tooLarge(bodyBytesMax)

  // Reserved as a whole where the length is known: half a body that must then be refused helps nobody.
  const memory = budget.memory()
  const disk = budget.disk()
  try {
    if (declared > 0) disk.grow(declared)
    const pieces = new Pieces()
    let size = 0
    let spool = declared > 0 ? new Spool(budget) : undefined
    try {
      await arriving.each((chunk) => {
        size += chunk.length
        if (size > bodyBytesMax) throw tooLarge(bodyBytesMax)
        see(chunk)
        if (spool) {
          disk.growTo(size)
          return spool.write(chunk)
        }
        pieces.add(chunk)
        if (size <= bodyInMemoryBytesMax) {
          memory.growTo(size)
          return undefined
        }
        disk.growTo(size)
        spool = new Spool(budget)
        return spool.write(pieces.take())
      })
      if (spool) return await spool.finish(size, memory, disk)
    } catch (error) {
      await spool?.abandon()
      throw error
    }
    const bytes = pieces.take()
    return {
      size,
      bytes,
      open: () => bytes,
      [Symbol.dispose]() {
        memory[Symbol.dispose]()
        disk[Symbol.dispose]()
      },
    }
  } catch (error) {
    memory[Symbol.dispose]()
    disk[Symbol.dispose]()
    throw error
  }
}

/** Nearly every body: its length is known, and memory has room for it. */
function takeSmall(
  arriving: ArrivingBody,
  budget: BodyBudget,
  see: (chunk: Buffer) => void,
): HeldBody | Promise<HeldBody> {
  if (arriving.declaredBytes === 0) return noBody
  const share = budget.memory()
  share.grow(arriving.declaredBytes ?? 0)
  const pieces = new Pieces()
  try {
    const taken = arriving.each((chunk) => {
      see(chunk)
      pieces.add(chunk)
      return undefined
    })
    return taken === undefined ? heldIn(pieces, share) : whenTaken(taken, pieces, share)
  } catch (error) {
    share[Symbol.dispose]()
    throw error
  }
}

async function whenTaken(taken: Promise<void>, pieces: Pieces, share: Share): Promise<HeldBody> {
  try {
    await taken
    return heldIn(pieces, share)
  } catch (error) {
    share[Symbol.dispose]()
    throw error
  }
}

const heldIn = (pieces: Pieces, share: Share) => new BytesHeld(pieces.take(), share)

class BytesHeld implements HeldBody {
  readonly bytes: Buffer
  readonly #share: Share

  constructor(bytes: Buffer, share: Share) {
    this.bytes = bytes
    this.#share = share
  }

  get size(): number {
    return this.bytes.length
  }

  open(): Buffer {
    return this.bytes
  }

  [Symbol.dispose](): void {
    this.#share[Symbol.dispose]()
  }
}

export function tooLarge(bytesMax: number): Failure {
  return new Failure(
    'body_too_large',
    `the body is larger than ${bytesMax} bytes (limits.body_max)`,
  )
}

/** Writes in order, one at a time; the file goes when the exchange does. */
class Spool {
  readonly #file: Promise<{ path: string; handle: FileHandle }>
  constructor(budget: BodyBudget) {
    this.#file = budget.spoolFile()
    // Heard by whoever writes; until then a folder that can not be made must not end the process.
    this.#file.catch(() => {})
  }

  async write(chunk: Buffer): Promise<void> {
    try {
      const { handle } = await this.#file
      await handle.writeFile(chunk)
    } catch (error) {
      throw new Failure('body_budget_full', 'the disk for held bodies can not be written', {
        retryAfterS: 5,
        cause: error,
      })
    }
  }

  async finish(size: number, memory: Share, disk: Share): Promise<HeldBody> {
    const { path, handle } = await this.#file
    await handle.close()
    memory[Symbol.dispose]()
    return {
      size,
      bytes: undefined,
      open: () => piecesOf(path),
      [Symbol.dispose]() {
        disk[Symbol.dispose]()
        // Gone or not, nobody waits for it: the folder is swept at start.
        unlink(path).catch(() => {})
      },
    }
  }

  async abandon(): Promise<void> {
    try {
      const { path, handle } = await this.#file
      await handle.close()
      await unlink(path)
    } catch {
      // It could not be made in the first place; the error that led here says more.
    }
  }
}

/** Opened only when somebody reads, so that an attempt that never connects leaves nothing open. */
async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(spoolPieceBytes))
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw new SpoolTrouble('a held body can not be read', { cause: error })
  } finally {
    await handle?.close()
  }
}
