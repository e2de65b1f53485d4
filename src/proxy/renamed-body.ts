import type { HeldBody } from './body.ts'

/** Where a value stands in a body: its first byte, and the one behind its last. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** A held body with another model in it. Nothing else of it is touched, and it is held once: it is joined when it is sent. */
export class RenamedBody implements HeldBody {
  readonly size: number
  readonly #held: HeldBody
  readonly #at: Span
  readonly #name: Buffer

  constructor(held: HeldBody, at: Span, nameJson: Buffer) {
    this.#held = held
    this.#at = at
    this.#name = nameJson
    this.size = held.size - (at.to - at.from) + nameJson.length
  }

  get bytes(): Buffer | undefined {
    const { bytes } = this.#held
    if (!bytes) return undefined
    const { from, to } = this.#at
    return Buffer.concat([bytes.subarray(0, from), this.#name, bytes.subarray(to)], this.size)
  }

  open(): Uint8Array | AsyncIterable<Uint8Array> {
    return this.bytes ?? this.#pieces()
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]()
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    const { from, to } = this.#at
    let before = 0
    let isNamed = false
    for await (const piece of this.#held.open() as AsyncIterable<Uint8Array>) {
      const head = piece.subarray(0, Math.max(0, from - before))
      const tail = piece.subarray(Math.max(0, to - before))
      before += piece.length
      if (head.length > 0) yield head
      if (!isNamed && before > from) {
        isNamed = true
        yield this.#name
      }
      if (tail.length > 0) yield tail
    }
  }
}
