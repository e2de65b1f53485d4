import type { ClientSide } from '../../src/proxy/client-side.ts'
import { PassingClient } from '../../src/proxy/passing-client.ts'

/** What the head `X-Chasqui-Load` says. */
export interface HeadLoad {
  readonly free: number
  readonly queue: number
  readonly active: number
  /** Undefined: not known, and left out. */
  readonly hidden: number | undefined
}

/** A dictionary as RFC 9651 section 3.2 writes it. */
export function loadHeader({ free, queue, active, hidden }: HeadLoad): string {
  const known = [`free=${free}`, `queue=${queue}`, `active=${active}`]
  if (hidden !== undefined) known.push(`hidden=${hidden}`)
  return known.join(', ')
}

/** The proxy's end of an exchange: every head that goes there says how things are at that moment. Bodies stay as they are. */
export class LoadTellingClient extends PassingClient {
  readonly #load: () => HeadLoad

  constructor(client: ClientSide, load: () => HeadLoad) {
    super(client)
    this.#load = load
  }

  override head(status: number, rawHeaders: readonly string[]): void {
    super.head(status, this.#told(rawHeaders))
  }

  override answer(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    super.answer(status, this.#told(rawHeaders), body)
  }

  override answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    super.answerEarly(status, this.#told(rawHeaders), body)
  }

  #told(rawHeaders: readonly string[]): readonly string[] {
    return [...rawHeaders, 'X-Chasqui-Load', loadHeader(this.#load())]
  }
}
