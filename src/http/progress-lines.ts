import { type ProgressLine, subjectOf } from '../dialects/progress.ts'
import type { ClientSide } from '../proxy/client-side.ts'
import type { Exchange } from '../proxy/exchange.ts'
import { Paced } from './paced.ts'

/**
 * The progress of a command, as its client reads it. A client that reads gets every line. For one that does not, only
 * the latest line of each layer and status is kept, since a pull may go on for hours; the merger bounds how many of
 * these there are.
 */
export class ProgressLines {
  readonly #client: ClientSide
  readonly #headers: readonly string[]
  readonly #paced: Paced
  /** By subject, in the order in which they were first told. */
  readonly #kept = new Map<string, ProgressLine>()
  #over = false

  /** `headers`: name, value …: what the surface adds to every answer. */
  constructor(exchange: Exchange, headers: readonly string[]) {
    this.#client = exchange.client
    this.#headers = headers
    this.#paced = new Paced(exchange.client)
    exchange.onEnd(() => {
      this.#over = true
      this.#kept.clear()
    })
  }

  tell(line: ProgressLine): void {
    if (this.#over) return
    if (this.#paced.waiting || this.#kept.size > 0) this.#kept.set(subjectOf(line), line)
    else this.#send(line)
  }

  /** What was kept, and the last line. It does not wait for the client: more than this will not come. */
  end(last: ProgressLine): void {
    if (this.#over) return
    this.#over = true
    const rest = [...this.#kept.values(), last].map(textOf).join('')
    this.#kept.clear()
    this.#head()
    this.#client.end(Buffer.from(rest))
  }

  #send(line: ProgressLine): void {
    this.#head()
    void this.#paced.write(Buffer.from(textOf(line)))?.then(() => this.#catchUp())
  }

  #catchUp(): void {
    for (const [subject, line] of this.#kept) {
      this.#kept.delete(subject)
      this.#send(line)
      if (this.#paced.waiting) return
    }
  }

  #head(): void {
    const type = ['Content-Type', 'application/x-ndjson', 'X-Accel-Buffering', 'no']
    this.#client.head(200, [...type, ...this.#headers])
  }
}

const textOf = (line: ProgressLine) => `${JSON.stringify(line)}\n`
