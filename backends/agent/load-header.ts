import type { ClientSide } from '../../src/proxy/client-side.ts'

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
export class LoadTellingClient implements ClientSide {
  readonly #client: ClientSide
  readonly #load: () => HeadLoad

  constructor(client: ClientSide, load: () => HeadLoad) {
    this.#client = client
    this.#load = load
  }

  get left(): boolean {
    return this.#client.left
  }

  get started(): boolean {
    return this.#client.started
  }

  get bytesOut(): number {
    return this.#client.bytesOut
  }

  onLeft(act: () => void): void {
    this.#client.onLeft(act)
  }

  head(status: number, rawHeaders: readonly string[]): void {
    this.#client.head(status, this.#told(rawHeaders))
  }

  write(bytes: Uint8Array): boolean {
    return this.#client.write(bytes)
  }

  onDrain(act: () => void): void {
    this.#client.onDrain(act)
  }

  end(bytes?: Uint8Array): void {
    this.#client.end(bytes)
  }

  answer(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    this.#client.answer(status, this.#told(rawHeaders), body)
  }

  answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    this.#client.answerEarly(status, this.#told(rawHeaders), body)
  }

  cut(): void {
    this.#client.cut()
  }

  #told(rawHeaders: readonly string[]): readonly string[] {
    return [...rawHeaders, 'X-Chasqui-Load', loadHeader(this.#load())]
  }
}
