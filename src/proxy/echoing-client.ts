import type { ClientSide } from './client-side.ts'
import { PassingClient } from './passing-client.ts'

/**
 * The client's side of an exchange that used an alias: in what passes, the model is called as the client called it.
 * Quotes inside texts are written as escapes, so what looks like the field is one; only the first of each line counts,
 * where Ollama writes the answer's own.
 */
export class EchoingClient extends PassingClient {
  readonly #key: string
  readonly #said: Buffer
  readonly #asked: Buffer
  #head: { readonly status: number; readonly rawHeaders: readonly string[] } | undefined
  /** The answer has a length and comes in pieces: it passes as it is. */
  #passes = false

  /** `key`: the field with the name; `said`: the name in answers; `asked`: the client's. */
  constructor(
    client: ClientSide,
    { key, said, asked }: { readonly key: string; readonly said: string; readonly asked: string },
  ) {
    super(client)
    this.#key = JSON.stringify(key)
    this.#said = Buffer.from(JSON.stringify(said))
    this.#asked = Buffer.from(JSON.stringify(asked))
  }

  override head(status: number, rawHeaders: readonly string[]): void {
    this.#head = { status, rawHeaders }
  }

  override write(bytes: Uint8Array): boolean {
    if (this.#head) {
      this.#passes = lengthAt(this.#head.rawHeaders) >= 0
      super.head(this.#head.status, this.#head.rawHeaders)
      this.#head = undefined
    }
    return super.write(this.#passes ? bytes : this.#renamed(bytes))
  }

  override end(bytes?: Uint8Array): void {
    const renamed = bytes && !this.#passes ? this.#renamed(bytes) : bytes
    if (this.#head) {
      const longer = (renamed?.length ?? 0) - (bytes?.length ?? 0)
      super.head(this.#head.status, lengthened(this.#head.rawHeaders, longer))
      this.#head = undefined
    }
    super.end(renamed)
  }

  override answer(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    const renamed = this.#renamed(body)
    super.answer(status, lengthened(rawHeaders, renamed.length - body.length), renamed)
  }

  #renamed(given: Uint8Array): Uint8Array {
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
    const pieces: Buffer[] = []
    let copied = 0
    let at = bytes.indexOf(this.#key)
    while (at >= 0) {
      const value = valueBehind(bytes, at + this.#key.length)
      const end = value + this.#said.length
      if (value < 0 || !bytes.subarray(value, end).equals(this.#said)) {
        at = bytes.indexOf(this.#key, at + this.#key.length)
        continue
      }
      pieces.push(bytes.subarray(copied, value), this.#asked)
      copied = end
      const line = bytes.indexOf(newLine, end)
      at = line < 0 ? -1 : bytes.indexOf(this.#key, line)
    }
    return pieces.length === 0 ? given : Buffer.concat([...pieces, bytes.subarray(copied)])
  }
}

const newLine = 0x0a
const colon = 0x3a
const space = 0x20

/** Where the value of a key begins; -1: it was no key. */
function valueBehind(bytes: Buffer, from: number): number {
  let at = from
  while (bytes[at] === space) at++
  if (bytes[at] !== colon) return -1
  at++
  while (bytes[at] === space) at++
  return at
}

/** Where the value of Content-Length stands; -1: there is none. */
function lengthAt(rawHeaders: readonly string[]): number {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    if (rawHeaders[at]!.toLowerCase() === 'content-length') return at + 1
  return -1
}

function lengthened(rawHeaders: readonly string[], byBytes: number): readonly string[] {
  const at = lengthAt(rawHeaders)
  if (at < 0 || byBytes === 0) return rawHeaders
  return rawHeaders.with(at, String(Number(rawHeaders[at]) + byBytes))
}
