/** Beyond this an answer is not continued: reading it back would hold up every other stream. */
const keptBytesMax = 1_048_576
const firstBytes = 2_048
/** Of all answers together, as of all requests: thousands of long streams must not take the memory of the machine. */
const allKeptBytesMax = 256 * 1_048_576

/** What all kept answers of this process may take; one that finds it full can not be gone on with. */
export class KeptBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax = allKeptBytesMax) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** False: there is no room for so many more, and nothing was taken. */
  claim(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    return true
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes
  }
}

/**
 * The frames that a client has been given, in one piece of memory that grows: if the backend breaks off, another one
 * must be told what is there already. Copied, so that the small buffers they came in can go at once. Disposing gives
 * its share of the budget back.
 */
export class Kept implements Disposable {
  readonly #budget: KeptBudget
  #bytes: Buffer | undefined
  #length = 0
  #isWhole = true

  constructor(budget: KeptBudget) {
    this.#budget = budget
  }

  add(frames: Buffer): void {
    if (!this.#isWhole) return
    const length = this.#length + frames.length
    const fits = length <= (this.#bytes?.length ?? 0) || this.#grow(length)
    if (!fits) return this[Symbol.dispose]()
    frames.copy(this.#bytes!, this.#length)
    this.#length = length
  }

  /** True while all that the client was given is there. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  /** Undefined: it became more than is kept. */
  get frames(): Buffer | undefined {
    if (!this.#isWhole) return undefined
    return this.#bytes?.subarray(0, this.#length) ?? Buffer.alloc(0)
  }

  [Symbol.dispose](): void {
    this.#budget.giveBack(this.#bytes?.length ?? 0)
    this.#bytes = undefined
    this.#isWhole = false
  }

  /** False: it may not become so large. */
  #grow(length: number): boolean {
    if (length > keptBytesMax) return false
    const before = this.#bytes
    let size = before?.length ?? firstBytes
    while (size < length) size *= 2
    if (!this.#budget.claim(size - (before?.length ?? 0))) return false
    const bytes = Buffer.allocUnsafeSlow(size)
    before?.copy(bytes, 0, 0, this.#length)
    this.#bytes = bytes
    return true
  }
}
