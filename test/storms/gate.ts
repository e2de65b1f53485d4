import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Lie } from './lies.ts'

const lateMs = 300
const slammedMs = 200

/**
 * A door in front of a server that tells its answers as they are, except those that it is told to lie about: each lie
 * takes the next answer that begins.
 */
export class Gate {
  readonly #behind: number
  readonly #server: Server
  readonly #pairs = new Set<{ readonly client: Socket; asked: boolean }>()
  #due: Lie[] = []
  #slammedUntilMs = 0

  constructor(behind: number) {
    this.#behind = behind
    this.#server = createServer({ noDelay: true }, (client) => this.#pass(client))
  }

  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, '127.0.0.1', () => {
        const address = this.#server.address()
        resolve(typeof address === 'object' && address ? address.port : 0)
      })
    })
  }

  tell(lie: Lie, count: number): void {
    if (lie === 'slammed door') this.#slammedUntilMs = performance.now() + slammedMs
    else if (lie === 'idle ones closed') {
      for (const { client, asked } of this.#pairs) if (!asked) client.end()
    } else for (let each = 0; each < count; each++) this.#due.push(lie)
  }

  beHonest(): void {
    this.#due = []
    this.#slammedUntilMs = 0
  }

  #pass(client: Socket): void {
    client.on('error', () => {})
    if (performance.now() < this.#slammedUntilMs) return void client.destroy()
    const server = connect({ port: this.#behind, host: '127.0.0.1', noDelay: true })
    const pair = { client, asked: false }
    this.#pairs.add(pair)
    /** What becomes of the answer that runs. */
    let lie: Lie | undefined
    let begun = false
    client.on('data', (bytes) => {
      if (!pair.asked) {
        pair.asked = true
        begun = false
      }
      server.write(bytes)
    })
    server.on('data', (bytes) => {
      const first = !begun
      begun = true
      if (first) lie = this.#due.shift()
      const isEnd = endsAnAnswer(bytes, first)
      if (isEnd) pair.asked = false
      if (lie === undefined) client.write(bytes)
      else told[lie](client, bytes, { first, isEnd })
    })
    server.on('error', () => client.destroy())
    client.on('close', () => {
      this.#pairs.delete(pair)
      server.destroy()
    })
    server.on('close', () => client.end())
    client.on('end', () => server.end())
  }
}

/** Good enough for answers of a simulator: the end of its chunks, or all that its length says in the first piece. */
function endsAnAnswer(bytes: Buffer, first: boolean): boolean {
  if (bytes.subarray(-5).toString('latin1') === '0\r\n\r\n') return true
  if (!first) return false
  const text = bytes.toString('latin1')
  const head = text.indexOf('\r\n\r\n')
  const length = /content-length: (\d+)/i.exec(text.slice(0, head))
  return length !== null && bytes.length === head + 4 + Number(length[1])
}

type Telling = (
  client: Socket,
  bytes: Buffer,
  at: { readonly first: boolean; readonly isEnd: boolean },
) => void

/** Puts lines under the first one. */
const withLines =
  (...lines: readonly string[]): Telling =>
  (client, bytes, { first }) => {
    const end = bytes.indexOf('\r\n') + 2
    if (!first || end < 2) return void client.write(bytes)
    const more = Buffer.from(lines.map((line) => `${line}\r\n`).join(''))
    client.write(Buffer.concat([bytes.subarray(0, end), more, bytes.subarray(end)]))
  }

/** Puts bytes where the framing of the body begins, and closes behind them. */
const inTheBody =
  (text: string): Telling =>
  (client, bytes) => {
    const end = bytes.indexOf('\r\n\r\n') + 4
    client.end(Buffer.concat([bytes.subarray(0, Math.max(end, 0)), Buffer.from(text)]))
  }

const half = (bytes: Buffer) => bytes.subarray(0, Math.ceil(bytes.length / 2))
const second = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'

const told: Readonly<Record<Lie, Telling>> = {
  garbage: (client) => void client.end('\u0016\u0003\u0001 not what you think\r\n\r\n\u0000\u0001'),
  'two lengths': withLines('Content-Length: 5', 'Content-Length: 7'),
  'length and chunks': withLines('Content-Length: 12', 'Transfer-Encoding: chunked'),
  'bare line feeds': (client, bytes) =>
    void client.end(Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')),
  'endless head': withLines(`X-Long: ${'x'.repeat(40_000)}`),
  'bad chunk': inTheBody('zz\r\n'),
  'longer chunk': inTheBody('2\r\nabcdef\r\n'),
  'cut by closing': (client, bytes) => void client.end(half(bytes)),
  'cut by a reset': (client, bytes) => {
    client.write(half(bytes), () => client.resetAndDestroy())
  },
  // In one piece with the end of the first, as a second client could get it.
  'said twice': (client, bytes, { isEnd }) =>
    void client.write(isEnd ? Buffer.concat([bytes, Buffer.from(second)]) : bytes),
  'uninvited upgrade': (client) =>
    void client.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'),
  interim: (client, bytes, { first }) => {
    if (first)
      client.write('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n')
    client.write(bytes)
  },
  dribble: (client, bytes) => {
    for (let at = 0; at < bytes.length; at += 97) client.write(bytes.subarray(at, at + 97))
  },
  late: (client, bytes) => {
    client.pause()
    setTimeout(() => {
      client.resume()
      if (!client.destroyed) client.write(bytes)
    }, lateMs)
  },
  'slammed door': (client) => void client.destroy(),
  'idle ones closed': (client) => void client.end(),
}
