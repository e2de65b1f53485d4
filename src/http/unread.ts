import type { Socket } from 'node:net'
import type { Clock } from '../core/clock.ts'

/**
 * Who takes nothing for so long of what waits for it will hardly come back, and may hold a seat that others wait for. A
 * laptop that sleeps through a lunch hour loses an answer; `timeouts.idle` makes it shorter.
 */
const unreadMsMax = 600_000
const lookEveryMs = 30_000

interface Waiting {
  /** Bytes that the system had taken. */
  readonly taken: number
  readonly sinceMs: number
}

/** Closes connections whose client reads nothing though there is something for it. */
export class Unread implements Disposable {
  readonly #clock: Clock
  readonly #sockets: () => Iterable<Socket>
  readonly #waiting = new WeakMap<Socket, Waiting>()
  #timer: Disposable

  constructor(clock: Clock, sockets: () => Iterable<Socket>) {
    this.#clock = clock
    this.#sockets = sockets
    this.#timer = clock.after(lookEveryMs, () => this.#look())
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]()
  }

  #look(): void {
    const nowMs = this.#clock.now()
    for (const socket of this.#sockets()) {
      if (socket.writableLength === 0) {
        this.#waiting.delete(socket)
        continue
      }
      const taken = socket.bytesWritten - socket.writableLength
      const waiting = this.#waiting.get(socket)
      if (waiting?.taken !== taken) this.#waiting.set(socket, { taken, sinceMs: nowMs })
      else if (nowMs - waiting.sinceMs >= unreadMsMax) socket.destroy()
    }
    this.#timer = this.#clock.after(lookEveryMs, () => this.#look())
  }
}
