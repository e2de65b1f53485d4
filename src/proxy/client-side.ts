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
  /** The whole answer at once, its body left out where a HEAD asked. What was not read of the request is dropped. */
  answer(status: number, rawHeaders: readonly string[], body: Uint8Array): void
  /**
   * The whole answer to a request whose body may not have been read to its end. Then the connection can not be used
   * again, and what still comes is read for a moment: closed at once, a client in the middle of sending would see a
   * reset and not the answer.
   */
  answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void
  /** Breaks the transfer visibly: what was sent is no whole answer, and no well-formed line can say so. */
  cut(): void
  readonly bytesOut: number
}
