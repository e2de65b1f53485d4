import { Agent, type IncomingHttpHeaders, request } from 'node:http'

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** No request of a run takes longer; what hangs must not hang the bench. */
const limitMs = 120_000

/** A client of one server on the loopback, with connections that are kept, like those of client libraries. */
export class Caller implements Disposable {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true })

  constructor(port: number) {
    this.#port = port
  }

  get(path: string): Promise<Reply> {
    return this.#send('GET', path, undefined)
  }

  post(path: string, value: unknown): Promise<Reply> {
    return this.#send('POST', path, Buffer.from(JSON.stringify(value)))
  }

  delete(path: string): Promise<Reply> {
    return this.#send('DELETE', path, undefined)
  }

  /** The answer's object; throws when it is no 200. */
  async ask<Answer>(path: string, value?: unknown): Promise<Answer> {
    const { status, body } = await (value === undefined ? this.get(path) : this.post(path, value))
    if (status !== 200)
      throw new Error(`${path} answered ${status}: ${body.toString('utf8', 0, 300)}`)
    return JSON.parse(body.toString('utf8')) as Answer
  }

  #send(method: string, path: string, body: Buffer | undefined): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const head = body && { 'Content-Type': 'application/json', 'Content-Length': body.length }
    const sent = request(
      {
        ...{ host: '127.0.0.1', port: this.#port, method, path, agent: this.#agent },
        headers: { ...head },
        signal: AbortSignal.timeout(limitMs),
      },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: Buffer.concat(chunks),
          }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(body)
    return promise
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
