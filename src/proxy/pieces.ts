/** A larger piece is worth the some 200 bytes that every buffer takes of its own. */
const smallBytesMax = 1_024
/** Small ones are copied together into blocks that double from one size to the other. */
const blockBytesMin = 1_024
const blockBytesMax = 65_536

/**
 * Pieces of a body as they come, put together at the end. A client can send a byte at a time, and a buffer for each of
 * them would take hundreds of times what the body budget was charged.
 */
export class Pieces {
  #whole: Buffer[] = []
  #block: Buffer | undefined
  #used = 0
  #blockBytes = blockBytesMin

  add(piece: Buffer): void {
    // Nearly every body is one piece, and that one is kept as it is.
    if (this.#whole.length === 0 || piece.length > smallBytesMax) {
      this.#close()
      this.#whole.push(piece)
      return
    }
    if (this.#block && this.#used + piece.length > this.#block.length) {
      const next = Math.min(blockBytesMax, 2 * this.#blockBytes)
      this.#close()
      this.#blockBytes = next
    }
    // Not of the pool that Node shares out: what lives long would hold all of a pool.
    this.#block ??= Buffer.allocUnsafeSlow(this.#blockBytes)
    piece.copy(this.#block, this.#used)
    this.#used += piece.length
  }

  /** All of them as one; from then on there are none. */
  take(): Buffer {
    this.#close()
    const whole = this.#whole
    this.#whole = []
    return whole.length === 1 ? whole[0]! : Buffer.concat(whole)
  }

  /** Larger ones come now: what is unused of the block is not kept. */
  #close(): void {
    const block = this.#block
    if (!block) return
    const used = block.subarray(0, this.#used)
    this.#whole.push(this.#used < block.length / 2 ? copyOf(used) : used)
    this.#block = undefined
    this.#used = 0
    this.#blockBytes = blockBytesMin
  }
}

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
