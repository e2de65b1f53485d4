import { connect } from 'node:net'
import { placeholder, type Stream } from './streams.ts'
import { type Reading, readStream } from './strict-reader.ts'

export interface Answered {
  readonly status: number
  readonly body: string
  /** It said that it is the last one. */
  readonly isLast: boolean
}

/** What a client sent, and what it got. */
export interface Conversation {
  readonly sent: string
  readonly answers: readonly Answered[]
  /** What came and is no whole answer. */
  readonly rest: string
  /** By the proxy. */
  readonly closed: boolean
  /** Nothing more came, and neither did what had to. */
  readonly stuck: boolean
}

/** Far more than anything takes: a machine may have much else to do. */
const waitMsMax = 15_000

/** Sends a stream as it says and listens until it is known how it ended. */
export function converse(port: number, stream: Stream, id: string): Promise<Conversation> {
  return new Promise((resolve) => new Talk(port, stream, id, resolve).begin())
}

class Talk {
  readonly #socket
  readonly #pieces: readonly string[]
  readonly #stream: Stream
  readonly #tell: (conversation: Conversation) => void
  #sent = ''
  #text = ''
  #closed = false
  #waiting: (() => void) | undefined
  /** Of all requests that an answer may belong to. */
  #methods: readonly string[] = []

  constructor(
    port: number,
    stream: Stream,
    id: string,
    tell: (conversation: Conversation) => void,
  ) {
    this.#pieces = stream.pieces.map((piece) => piece.replaceAll(placeholder, id))
    this.#stream = stream
    this.#tell = tell
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
  }

  begin(): void {
    this.#socket
      .setEncoding('latin1')
      .on('data', (text) => {
        this.#text += String(text)
        this.#waiting?.()
      })
      .on('error', () => {})
      .on('close', () => {
        this.#closed = true
        this.#waiting?.()
      })
    void this.#talk()
  }

  async #talk(): Promise<void> {
    for (const piece of this.#pieces) {
      await this.#send(piece)
      const { requests, end } = this.#readSent()
      if (this.#stream.patient && end === 'clean')
        await this.#until(() => this.#answers().answers.length >= requests.length)
    }
    const { requests, end, mayWait } = this.#readSent()
    const isOpen = end === 'cut' || mayWait
    const answered = () => this.#answers().answers.length >= requests.length
    const heard = await this.#until(end === 'clean' || isOpen ? answered : () => false)
    if (end === 'clean' && heard && !this.#closed && !mayWait) {
      // One more, to see that both sides still count alike.
      await this.#send('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      this.#readSent()
      await this.#until(() => false)
    }
    const stuck = mayWait ? false : end === 'cut' ? !heard : !this.#closed
    const { answers, rest } = this.#answers()
    this.#tell({
      sent: this.#sent,
      answers,
      rest,
      closed: this.#closed,
      stuck,
    })
    this.#socket.destroy()
  }

  /** In segments: a turn between two of them lets the proxy read the first alone. */
  async #send(piece: string): Promise<void> {
    const cuts = this.#stream.cuts.map((cut) => Math.floor((cut * piece.length) / 1_000))
    const places = [0, ...cuts.sort((a, b) => a - b), piece.length]
    for (let index = 0; index + 1 < places.length; index++) {
      const segment = piece.slice(places[index], places[index + 1])
      if (segment === '' || this.#closed) continue
      this.#socket.write(segment, 'latin1')
      if (index + 2 < places.length) await turn()
    }
    this.#sent += piece
  }

  /** False: the time is up. Also when the proxy closes there is nothing to wait for. */
  #until(condition: () => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(false), waitMsMax)
      const end = (met: boolean) => {
        clearTimeout(timer)
        this.#waiting = undefined
        resolve(met)
      }
      const look = () => {
        if (this.#closed || condition()) end(true)
      }
      this.#waiting = look
      look()
    })
  }

  #readSent(): Reading {
    const reading = readStream(this.#sent)
    this.#methods = [...reading.requests.map(({ method }) => method), reading.nextMethod]
    return reading
  }

  #answers(): { answers: Answered[]; rest: string } {
    return readAnswers(this.#text, this.#methods)
  }
}

const turn = () => new Promise<void>((resolve) => void setImmediate(() => setImmediate(resolve)))

/** Strictly: whatever does not follow from the bytes before it is left over. */
export function readAnswers(
  text: string,
  methods: readonly string[],
): { answers: Answered[]; rest: string } {
  const answers: Answered[] = []
  for (let at = 0; ; ) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end < 0) return { answers, rest: text.slice(at) }
    const [line = '', ...lines] = text.slice(at, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1] ?? 0)
    if (status === 0) return { answers, rest: text.slice(at) }
    if (status < 200) {
      at = end + 4
      continue
    }
    const named = (wanted: string) =>
      lines.flatMap((each) => {
        const colon = each.indexOf(':')
        return each.slice(0, colon).toLowerCase() === wanted ? [each.slice(colon + 1).trim()] : []
      })
    const [lengths, encodings] = [named('content-length'), named('transfer-encoding')]
    if (lengths.length + encodings.length > 1) return { answers, rest: text.slice(at) }
    const isLast = named('connection').includes('close')
    const from = end + 4
    const bodiless = methods[answers.length] === 'HEAD' || status === 204 || status === 304
    const read = bodiless
      ? { body: '', next: from }
      : encodings.length === 1
        ? unchunked(text, from)
        : bySize(text, from, Number(lengths[0] ?? 0))
    if (!read) return { answers, rest: text.slice(at) }
    answers.push({ status, body: read.body, isLast })
    at = read.next
  }
}

function bySize(text: string, from: number, size: number) {
  const next = from + size
  return text.length < next ? undefined : { body: text.slice(from, next), next }
}

function unchunked(text: string, begin: number) {
  let body = ''
  for (let at = begin; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    const from = lineEnd + 2
    if (Number.isNaN(size) || text.length < from + size + 2) return undefined
    body += text.slice(from, from + size)
    at = from + size + 2
    if (size === 0) return { body, next: at }
  }
}
