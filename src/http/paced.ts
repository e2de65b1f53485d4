import type { ClientSide } from '../proxy/client-side.ts'

/**
 * Writes to a client no faster than it reads. It listens once for the client's leaving, however often it has waited,
 * and has one wait at a time, for a door may remember one waiter only.
 */
export class Paced {
  readonly #client: ClientSide
  #wait: PromiseWithResolvers<void> | undefined

  constructor(client: ClientSide) {
    this.#client = client
    client.onLeft(() => this.#goOn())
  }

  /** The client has not read what it was given. */
  get waiting(): boolean {
    return this.#wait !== undefined
  }

  /** Resolves when the client is ready for more, or gone; undefined: it is now. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#client.left || (this.#client.write(bytes) && !this.#wait)) return undefined
    if (!this.#wait) {
      this.#wait = Promise.withResolvers<void>()
      this.#client.onDrain(() => this.#goOn())
    }
    return this.#wait.promise
  }

  #goOn(): void {
    const wait = this.#wait
    this.#wait = undefined
    wait?.resolve()
  }
}
