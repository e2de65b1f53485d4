import type { Failure } from '../core/failure.ts'
import type { Figures } from '../core/observer.ts'
import { errorFrame } from '../dialects/errors.ts'
import type { ClientSide } from '../proxy/client-side.ts'
import type { SplitEvent, SplitResult, SplitSink } from '../split/order.ts'
import { type OpenSpool, Shelf } from '../split/shelf.ts'
import { Paced } from './paced.ts'

/** Which of Ollama's two native shapes an answer has. */
export type AnswerShape = 'generate' | 'chat'

/** How the client reads: one object at the end, a line a piece, or events with the progress of each part. */
export type AnswerForm = 'whole' | 'lines' | 'events'

export interface SplitAnswerOptions {
  readonly form: AnswerForm
  readonly shape: AnswerShape
  /** The model as the client named it; it is echoed like that. */
  readonly model: string
  readonly family: 'own' | 'ollama'
  /** Name, value …: what the surface adds to every answer. */
  readonly headers: readonly string[]
  readonly openSpool: OpenSpool
}

/** A whole answer up to this is held; a longer one waits in a file until its last line is known. */
const heldBytesMax = 16 * 1_048_576

const types: Readonly<Record<AnswerForm, string>> = {
  whole: 'application/json; charset=utf-8',
  lines: 'application/x-ndjson',
  events: 'text/event-stream',
}

/** The answer of a split run as its client gets it: Ollama's own shape, with a report in the last line. */
export class SplitAnswer implements SplitSink, AsyncDisposable {
  readonly #client: ClientSide
  readonly #options: SplitAnswerOptions
  readonly #held: Shelf
  readonly #paced: Paced
  #pieces = 0

  constructor(client: ClientSide, options: SplitAnswerOptions) {
    this.#client = client
    this.#paced = new Paced(client)
    this.#options = options
    this.#held = new Shelf(heldBytesMax, options.openSpool)
  }

  get started(): boolean {
    return this.#client.started
  }

  text(piece: string): Promise<void> | undefined {
    if (this.#options.form === 'whole') return this.#held.put(this.#pieces++, piece)
    return this.#send(this.#framed({ ...this.#begun(), ...this.#said(piece), done: false }))
  }

  event({ kind, ...fields }: SplitEvent): void {
    // Progress that nobody reads now is worth nothing later.
    if (this.#options.form === 'events' && !this.#paced.waiting)
      void this.#send(`event: ${kind}\ndata: ${JSON.stringify(fields)}\n\n`)
  }

  /** The last line, or the whole answer. */
  async end(result: SplitResult): Promise<void> {
    const last = (text: string) => ({
      ...this.#begun(),
      ...this.#said(text),
      done: true,
      done_reason: result.doneReason,
      ...durations(result.figures),
      split: result.report,
    })
    if (this.#options.form !== 'whole') {
      await this.#send(this.#framed(last('')))
      return this.#client.end()
    }
    // The text is put where a mark stood, piece by piece: it may be longer than memory should hold twice.
    const mark = `\u0001${crypto.randomUUID()}`
    const [before, after] = JSON.stringify(last(mark)).split(JSON.stringify(mark)) as [
      string,
      string,
    ]
    await this.#send(`${before}"`)
    for (let piece = 0; piece < this.#pieces; piece++)
      await this.#send(JSON.stringify(await this.#held.take(piece)).slice(1, -1))
    this.#client.end(Buffer.from(`"${after}`))
  }

  /** Another object than an answer: the plan of a run that was not made. */
  instead(value: object): void {
    const body = Buffer.from(JSON.stringify(value))
    const { headers } = this.#options
    this.#client.head(200, ['Content-Type', types.whole, ...headers])
    this.#client.end(body)
  }

  /** After the first byte: one line of error in the client's own form, or a visibly cut transfer. */
  fail(failure: Failure): void {
    const { form, family, shape } = this.#options
    if (form === 'whole') return this.#client.cut()
    const framing = form === 'events' ? 'sse' : 'ndjson'
    // Ollama has no events of its own; who asked for them reads ours.
    const speaking = form === 'events' ? 'own' : family
    this.#client.end(errorFrame(speaking, framing, failure.message, failure.code, shape))
  }

  #send(text: string): Promise<void> | undefined {
    const client = this.#client
    client.head(200, ['Content-Type', types[this.#options.form], ...this.#options.headers])
    return this.#paced.write(Buffer.from(text))
  }

  #framed(line: object): string {
    const json = JSON.stringify(line)
    return this.#options.form === 'events' ? `data: ${json}\n\n` : `${json}\n`
  }

  #begun() {
    return { model: this.#options.model, created_at: new Date().toISOString() }
  }

  #said(text: string) {
    return this.#options.shape === 'generate'
      ? { response: text }
      : { message: { role: 'assistant', content: text } }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held[Symbol.asyncDispose]()
  }
}

/** Sums over the parts, under Ollama's names. */
function durations(figures: Figures) {
  return {
    total_duration: figures.totalNs,
    load_duration: figures.loadNs,
    prompt_eval_count: figures.promptTokens,
    prompt_eval_duration: figures.promptNs,
    eval_count: figures.outputTokens,
    eval_duration: figures.outputNs,
  }
}
