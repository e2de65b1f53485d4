import { Agent, type ClientRequest, request } from 'node:http'
import type { ModelSpec, Request } from '../engine/specs.ts'
import { headersOf } from './configs.ts'
import type { Extras } from './fronts.ts'
import { messagesOf } from './scripted.ts'

/** What a client saw, in milliseconds of the study since the trace began; NaN: not. */
export interface Seen {
  readonly request: Request
  firstMs: number
  endMs: number
  isGood: boolean
  /** Of an answer that was not good. */
  why: string
}

/** The end of an answer is looked for in so many of its last characters. */
const tailChars = 1_000
const lastLine = /"done":true[^\n]*\n$/

/** Clients of one address, over real sockets; each sends when it is told to, however many are waiting. */
export class Clients implements Disposable {
  // A connection for each: a kept one may be closed in the moment in which it is used, which says nothing of balancing.
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  readonly #models: readonly ModelSpec[]
  readonly #nowMs: () => number
  readonly #open = new Set<ClientRequest>()
  #empty: () => void = () => {}

  constructor(models: readonly ModelSpec[], nowMs: () => number) {
    this.#models = models
    this.#nowMs = nowMs
  }

  /** `id`: what the backends' traces know it by. */
  send(port: number, asked: Request, id: string, extras?: Extras): Seen {
    const seen: Seen = {
      ...{ request: asked, firstMs: Number.NaN, endMs: Number.NaN, isGood: false, why: '' },
    }
    const model = this.#models[asked.model]!.name
    // Streams: a balancer that learns from answers, or counts what is left of them, sees them as they come.
    const body = Buffer.from(
      JSON.stringify({ ...extras?.body, model, messages: messagesOf(asked), stream: true }),
    )
    const sent = request({
      ...{ host: '127.0.0.1', port, method: 'POST', path: '/api/chat', agent: this.#agent },
      headers: {
        ...{ 'Content-Type': 'application/json', 'Content-Length': body.length },
        ...{ 'X-Request-Id': id, ...headersOf(asked), ...extras?.headers },
      },
    })
    this.#open.add(sent)
    const over = (isGood: boolean, why: string) => {
      if (!this.#open.delete(sent)) return
      seen.isGood = isGood
      seen.endMs = this.#nowMs()
      if (!isGood) seen.why = why
      if (this.#open.size === 0) this.#empty()
    }
    sent.on('error', (error) => over(false, error.message))
    sent.on('response', (answer) => {
      let tail = ''
      answer.setEncoding('latin1')
      answer.on('data', (text: string) => {
        if (Number.isNaN(seen.firstMs) && answer.statusCode === 200) seen.firstMs = this.#nowMs()
        tail = (tail + text).slice(-tailChars)
      })
      answer.on('end', () =>
        over(
          answer.statusCode === 200 && lastLine.test(tail),
          `${answer.statusCode} ${tail.slice(-200).trim()}`,
        ),
      )
      answer.on('error', (error) => over(false, error.message))
    })
    sent.end(body)
    return seen
  }

  /** Until nobody waits any more, or the time is up. */
  async finish(limitMs: number): Promise<void> {
    if (this.#open.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#empty = resolve
    const timer = setTimeout(resolve, limitMs)
    await promise
    clearTimeout(timer)
  }

  /** Who has not been served by now leaves. */
  [Symbol.dispose](): void {
    const open = [...this.#open]
    this.#open.clear()
    for (const sent of open) sent.destroy()
    this.#agent.destroy()
  }
}
