import { connect, type Socket } from 'node:net'
import { AnswerReader, type Received } from './answers.ts'
import { requestOf } from './asking.ts'
import type { Errand, Leave } from './script.ts'

export interface Gone {
  readonly errand: Errand
  readonly received: Received
  /** It went away before it had everything. */
  readonly hasLeft: boolean
  /** The head had gone out whole, and the connection stood: the proxy must have told of it. */
  readonly mustBeKnown: boolean
}

/** Longer than any limit of the storm's configuration: who waits so long waits for ever. */
const patienceMsMax = 45_000
const pieceMs = 8
const piecesSent = 4
const slowMs = 12

/** One client with one connection at a time, which it keeps as long as it may. */
export class StormClient {
  readonly #port: number
  readonly #complain: (what: string) => void
  #line: Line | undefined

  constructor(port: number, complain: (what: string) => void) {
    this.#port = port
    this.#complain = complain
  }

  /** Sends them all at once where there are several; resolves when each has its answer, or none will come. */
  async run(errands: readonly Errand[]): Promise<Gone[]> {
    const line = this.#line?.isFree ? this.#line : new Line(this.#port, this.#complain)
    this.#line = line
    const gone = await line.run(errands)
    if (!line.isFree) this.#line = undefined
    return gone
  }

  /** Resolves when its connection is gone. */
  async close(): Promise<void> {
    await this.#line?.close()
    this.#line = undefined
  }
}

/** One connection. */
class Line {
  readonly #socket: Socket
  readonly #reader: AnswerReader
  readonly #closed: Promise<void>
  #waiting: Errand[] = []
  #gone: Gone[] = []
  #hasLeft = false
  #sentHeads = 0
  #over = false
  #connected = false
  #finish: (() => void) | undefined
  #leave: Leave | undefined
  #slow = false
  readonly #complain: (what: string) => void

  constructor(port: number, complain: (what: string) => void) {
    this.#complain = complain
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#reader = new AnswerReader((answer) => this.#answered(answer))
    this.#closed = new Promise((resolve) => this.#socket.on('close', () => resolve()))
    this.#socket
      .on('connect', () => {
        this.#connected = true
      })
      .on('data', (bytes) => {
        if (this.#hasLeft) return
        if (this.#waiting.length === 0)
          complain(`bytes that nobody asked for: ${bytes.toString('latin1', 0, 200)}`)
        try {
          this.#reader.push(bytes)
        } catch (error) {
          complain(`${this.#waiting[0]?.id ?? 'nobody'}: ${String(error)}`)
          this.#socket.destroy()
        }
        if (this.#leave?.when === 'reading' && this.#reader.bodyBytes >= this.#leave.patience)
          this.#goAway()
        else if (this.#slow) this.#dawdle()
      })
      .on('error', () => {})
      .on('end', () => this.#ended())
      .on('close', () => this.#ended())
  }

  get isFree(): boolean {
    return !this.#over && !this.#hasLeft
  }

  async run(errands: readonly Errand[]): Promise<Gone[]> {
    this.#waiting = [...errands]
    this.#gone = []
    this.#sentHeads = 0
    const [first] = errands
    this.#leave = first?.leave
    this.#slow = first?.reads === 'slowly'
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    const patience = setTimeout(() => this.#loseHope(), patienceMsMax)
    void this.#send(errands)
    await finished
    clearTimeout(patience)
    return this.#gone
  }

  async close(): Promise<void> {
    this.#over = true
    this.#socket.destroy()
    await this.#closed
  }

  async #send(errands: readonly Errand[]): Promise<void> {
    const asked = errands.map((errand) => requestOf(errand, '127.0.0.1'))
    const [{ head, body }] = asked as [(typeof asked)[0]]
    const leave = this.#leave
    if (leave?.when === 'in the head') {
      this.#write(head.slice(0, head.length / 2))
      return this.#leaveSoon(pieceMs)
    }
    if (leave?.when === 'in the body') {
      this.#sentHeads = 1
      this.#write(head + body.slice(0, body.length / 2))
      return this.#leaveSoon(pieceMs)
    }
    const text = asked.map((each) => each.head + each.body).join('')
    if (errands[0]!.sends === 'in pieces') {
      for (let piece = 0; piece < piecesSent; piece++) {
        const [from, to] = [piece, piece + 1].map((cut) =>
          Math.floor((text.length * cut) / piecesSent),
        )
        this.#write(text.slice(from, to))
        await new Promise((resolve) => setTimeout(resolve, pieceMs))
      }
    } else this.#write(text)
    this.#sentHeads = errands.length
    if (leave?.when === 'waiting') this.#leaveSoon(leave.patience)
  }

  #write(text: string): void {
    if (!this.#over && !this.#hasLeft) this.#socket.write(text)
  }

  #leaveSoon(ms: number): void {
    const timer = setTimeout(() => this.#goAway(), ms)
    void this.#closed.then(() => clearTimeout(timer))
    const finish = this.#finish
    this.#finish = () => {
      clearTimeout(timer)
      finish?.()
    }
  }

  #goAway(): void {
    if (this.#waiting.length === 0 || this.#over || this.#hasLeft) return
    this.#hasLeft = true
    const by = this.#leave?.by ?? 'closing'
    if (by === 'a reset') this.#socket.resetAndDestroy()
    else if (by === 'closing') this.#socket.destroy()
    // Half of it: the other half is closed by the proxy, and nothing but that is waited for.
    else this.#socket.end()
  }

  #loseHope(): void {
    this.#complain(`${this.#waiting[0]?.id} has waited for ${patienceMsMax} ms`)
    this.#hasLeft = true
    this.#socket.destroy()
  }

  /** Reads on after a while. */
  #dawdle(): void {
    this.#socket.pause()
    setTimeout(() => this.#socket.resume(), slowMs)
  }

  #answered(received: Received): void {
    const errand = this.#waiting.shift()
    if (!errand) return
    this.#gone.push({ errand, received, hasLeft: false, mustBeKnown: true })
    const closes = received.headers.get('connection')?.toLowerCase() === 'close'
    if (closes && this.#waiting.length === 0) {
      this.#over = true
      this.#socket.destroy()
    }
    if (this.#waiting.length === 0) this.#finish?.()
  }

  #ended(): void {
    this.#over = true
    this.#socket.destroy()
    for (const [index, errand] of this.#waiting.splice(0).entries()) {
      // The first has what there is; those that were sent ahead of their turn have nothing.
      const received = index === 0 ? this.#reader.rest() : new AnswerReader(() => {}).rest()
      const mustBeKnown = !this.#hasLeft && this.#connected && this.#sentHeads > index
      const hasLeft = this.#hasLeft
      this.#gone.push({ errand, received, hasLeft, mustBeKnown })
    }
    this.#finish?.()
  }
}
