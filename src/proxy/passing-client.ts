import type { ClientSide } from './client-side.ts'

/** A client's side in front of another one, to which everything passes as it is; who extends it changes what it says. */
export class PassingClient implements ClientSide {
  readonly #client: ClientSide

  constructor(client: ClientSide) {
    this.#client = client
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
    this.#client.head(status, rawHeaders)
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
    this.#client.answer(status, rawHeaders, body)
  }

  answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    this.#client.answerEarly(status, rawHeaders, body)
  }

  cut(): void {
    this.#client.cut()
  }
}
