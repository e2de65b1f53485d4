import type { ServerResponse } from 'node:http'

/** The client's end of an exchange: where an answer goes, and the first to know that nobody listens any more. */
export interface ClientSide {
  readonly left: boolean
  /** Calls back once, at once if the client has left already. */
  onLeft(act: () => void): void
  readonly started: boolean
  /** Status and head; kept back until the first byte of the body goes with it. */
  head(status: number, rawHeaders: readonly string[]): void
  /** False: wait for `onDrain` before the next one. */
  write(bytes: Uint8Array): boolean
  onDrain(act: () => void): void
  end(bytes?: Uint8Array): void
  /** Breaks the transfer visibly: what was sent is no whole answer, and no well-formed line can say so. */
  cut(): void
  readonly bytesOut: number
}

export class HttpClientSide implements ClientSide {
  readonly #response: ServerResponse
  #left = false
  #leftListeners: (() => void)[] = []
  #bytesOut = 0
  #over = false

  constructor(response: ServerResponse) {
    this.#response = response
    // It may have left while its body was still being put away: `close` is not said twice.
    this.#left = response.destroyed
    response.once('close', () => {
      if (this.#left || (this.#over && response.writableFinished)) return
      this.#left = true
      for (const listener of this.#leftListeners.splice(0)) listener()
    })
    // A reset while we write is the client's leaving, heard by `close`; unheard it would end the process.
    response.on('error', () => {})
  }

  get left(): boolean {
    return this.#left
  }

  get started(): boolean {
    return this.#response.headersSent
  }

  get bytesOut(): number {
    return this.#bytesOut
  }

  onLeft(act: () => void): void {
    if (this.#left) act()
    else this.#leftListeners.push(act)
  }

  head(status: number, rawHeaders: readonly string[]): void {
    if (!this.#response.headersSent && !this.#left)
      this.#response.writeHead(status, rawHeaders as string[])
  }

  write(bytes: Uint8Array): boolean {
    if (this.#left) return true
    this.#bytesOut += bytes.length
    return this.#response.write(bytes)
  }

  onDrain(act: () => void): void {
    this.#response.once('drain', act)
  }

  end(bytes?: Uint8Array): void {
    this.#over = true
    if (this.#left) return
    if (bytes) this.#bytesOut += bytes.length
    this.#response.end(bytes)
  }

  cut(): void {
    this.#over = true
    this.#response.destroy()
  }
}
