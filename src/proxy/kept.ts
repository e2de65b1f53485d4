/** Beyond this an answer is not continued: reading it back would hold up every other stream. */
const keptBytesMax = 1_048_576
const firstBytes = 2_048

/**
 * The frames that a client has been given, in one piece of memory that grows: if the backend breaks off, another one
 * must be told what is there already. Copied, so that the small buffers they came in can go at once.
 */
export class Kept {
  #bytes: Buffer | undefined
  #length = 0
  #tooMuch = false

  add(frames: Buffer): void {
    if (this.#tooMuch) return
    const length = this.#length + frames.length
    if (length > keptBytesMax) {
      this.#tooMuch = true
      this.#bytes = undefined
      return
    }
    if (this.#bytes === undefined || length > this.#bytes.length) this.#grow(length)
    frames.copy(this.#bytes!, this.#length)
    this.#length = length
  }

  /** Undefined: it became more than is kept. */
  get frames(): Buffer | undefined {
    if (this.#tooMuch) return undefined
    return this.#bytes?.subarray(0, this.#length) ?? Buffer.alloc(0)
  }

  #grow(length: number): void {
    let size = this.#bytes?.length ?? firstBytes
    while (size < length) size *= 2
    const bytes = Buffer.allocUnsafeSlow(Math.min(size, keptBytesMax))
    this.#bytes?.copy(bytes, 0, 0, this.#length)
    this.#bytes = bytes
  }
}
