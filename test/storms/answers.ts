/** A whole answer as it came, or as much of it as came. */
export interface Received {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** `whole` as HTTP goes; `cut`: the connection ended inside of it; `none`: before its head. */
  readonly ending: 'whole' | 'cut' | 'none'
}

/** What no server of HTTP may send. */
export class NotAnAnswer extends Error {}

const headBytesMax = 65_536

/** Reads one answer after another off a connection, strictly: lengths and chunks, and nothing in between. */
export class AnswerReader {
  readonly #take: (answer: Received) => void
  #held: Buffer = Buffer.alloc(0)
  #status = 0
  #headers: Map<string, string> | undefined
  #pieces: Buffer[] = []
  #framing: 'length' | 'chunked' = 'length'
  #left = 0
  #bodyBytes = 0

  constructor(take: (answer: Received) => void) {
    this.#take = take
  }

  /** Bytes of the body of the answer that is being read. */
  get bodyBytes(): number {
    return this.#bodyBytes
  }

  /** Some of an answer is there. */
  get isInside(): boolean {
    return this.#headers !== undefined || this.#held.length > 0
  }

  /** Throws NotAnAnswer. */
  push(bytes: Buffer): void {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    while (this.#headers ? this.#readBody() : this.#readHead());
  }

  /** What there is when the connection has ended. */
  rest(): Received {
    const body = Buffer.concat(this.#pieces)
    return this.#headers
      ? { status: this.#status, headers: this.#headers, body, ending: 'cut' }
      : { status: 0, headers: new Map(), body, ending: 'none' }
  }

  /** True: go on with what is left. */
  #readHead(): boolean {
    const end = this.#held.indexOf('\r\n\r\n')
    if (end < 0) {
      if (this.#held.length > headBytesMax) throw new NotAnAnswer('a head without end')
      return false
    }
    const [first = '', ...lines] = this.#held.toString('latin1', 0, end).split('\r\n')
    const status = /^HTTP\/1\.1 ([1-5]\d\d)(?: .*)?$/.exec(first)
    if (!status) throw new NotAnAnswer(`no status line: ${JSON.stringify(first.slice(0, 200))}`)
    this.#held = this.#held.subarray(end + 4)
    if (Number(status[1]) < 200) return this.#held.length > 0
    const headers = new Map<string, string>()
    for (const line of lines) {
      const field = /^([\w-]+): ?(.*)$/.exec(line)
      if (!field) throw new NotAnAnswer(`no header: ${JSON.stringify(line.slice(0, 200))}`)
      const name = field[1]!.toLowerCase()
      if (headers.has(name) && (name === 'content-length' || name === 'transfer-encoding'))
        throw new NotAnAnswer(`two of ${name}`)
      headers.set(name, field[2]!)
    }
    const [length, encoding] = [headers.get('content-length'), headers.get('transfer-encoding')]
    if ((length === undefined) === (encoding === undefined))
      throw new NotAnAnswer('a length or chunks, one of the two')
    this.#status = Number(status[1])
    this.#headers = headers
    this.#framing = length === undefined ? 'chunked' : 'length'
    this.#left = Number(length ?? 0)
    this.#pieces = []
    this.#bodyBytes = 0
    return true
  }

  #readBody(): boolean {
    if (this.#framing === 'chunked') return this.#readChunk()
    if (this.#held.length > 0) this.#takePiece(Math.min(this.#left, this.#held.length))
    if (this.#left > 0) return false
    return this.#finish()
  }

  #readChunk(): boolean {
    const end = this.#held.indexOf('\r\n')
    if (end < 0) return false
    const line = this.#held.toString('latin1', 0, end)
    if (!/^[0-9a-f]+$/i.test(line)) throw new NotAnAnswer(`no chunk: ${JSON.stringify(line)}`)
    const size = Number.parseInt(line, 16)
    const from = end + 2
    if (this.#held.length < from + size + 2) return false
    if (this.#held.toString('latin1', from + size, from + size + 2) !== '\r\n')
      throw new NotAnAnswer('a chunk that is longer than it says')
    this.#held = this.#held.subarray(from)
    this.#left = size
    this.#takePiece(size)
    this.#held = this.#held.subarray(2)
    return size > 0 || this.#finish()
  }

  #takePiece(size: number): void {
    if (size === 0) return
    this.#pieces.push(this.#held.subarray(0, size))
    this.#held = this.#held.subarray(size)
    this.#left -= size
    this.#bodyBytes += size
  }

  #finish(): boolean {
    const headers = this.#headers!
    this.#headers = undefined
    this.#bodyBytes = 0
    this.#take({
      status: this.#status,
      headers,
      body: Buffer.concat(this.#pieces),
      ending: 'whole',
    })
    this.#pieces = []
    return this.#held.length > 0
  }
}
