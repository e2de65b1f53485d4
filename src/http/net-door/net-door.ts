import type { Socket } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import type { LoopTurn } from '../../core/loop-turn.ts'
import { Roster } from '../../core/roster.ts'
import { Connection } from './connection.ts'
import type { RequestHead } from './request-head.ts'
import type { Turn } from './turn.ts'

export interface NetDoorSettings {
  /** A connection that has not sent a request by then is closed. */
  readonly headMsMax: number
  /** One that was used and sends no further request. */
  readonly keepAliveMs: number
}

export interface NetDoors {
  readonly clock: Clock
  readonly loopTurn: LoopTurn
  wants(head: RequestHead): boolean
  serve(turn: Turn): void
  handOver(socket: Socket, bytes: Buffer): void
}

/** How exactly the limits are kept: one look over all connections, and not a timer for each. */
const sweepEveryMs = 1_000
const tooLate = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n'

/**
 * The quick way in, for what comes all the time: plain requests with a body of known length, read and answered on the
 * socket. It judges nothing: what is not plain goes on, with all its bytes, to a server that knows all of HTTP.
 */
export class NetDoor {
  readonly #settings: NetDoorSettings
  readonly #doors: NetDoors
  readonly #connections = new Roster<Connection>()
  #sweep: Disposable | undefined
  #leaving = false
  #date = ''
  #dateUntilMs = 0

  constructor(settings: NetDoorSettings, doors: NetDoors) {
    this.#settings = settings
    this.#doors = doors
  }

  take(socket: Socket): void {
    const { clock, loopTurn, wants, serve, handOver } = this.#doors
    const keepAliveS = Math.floor(this.#settings.keepAliveMs / 1_000)
    this.#connections.add(
      new Connection(socket, {
        clock,
        loopTurn,
        wants,
        serve,
        handOver,
        keepAliveS: () => (this.#leaving ? undefined : keepAliveS),
        date: () => this.#dateNow(),
        gone: (connection) => this.#connections.delete(connection),
      }),
    )
    this.#sweep ??= clock.after(sweepEveryMs, () => this.#look())
  }

  /** Answers from now on say that they are the last on their connection. */
  leave(): void {
    this.#leaving = true
  }

  *sockets(): Iterable<Socket> {
    for (const { socket } of this.#connections) yield socket
  }

  closeIdle(): void {
    for (const connection of this.#connections)
      if (connection.idleSinceMs !== undefined) connection.socket.destroy()
  }

  cut(): void {
    for (const socket of this.sockets()) socket.destroy()
  }

  #look(): void {
    const { headMsMax, keepAliveMs } = this.#settings
    const now = this.#doors.clock.now()
    for (const { idleSinceMs, used, socket } of this.#connections) {
      if (idleSinceMs === undefined) continue
      if (used && now - idleSinceMs > keepAliveMs) socket.destroy()
      else if (!used && now - idleSinceMs > headMsMax) {
        socket.write(tooLate)
        socket.destroySoon()
      }
    }
    this.#sweep =
      this.#connections.size === 0
        ? undefined
        : this.#doors.clock.after(sweepEveryMs, () => this.#look())
  }

  /** RFC 9110 5.6.7, made once a second. */
  #dateNow(): string {
    const now = this.#doors.clock.now()
    if (now >= this.#dateUntilMs) {
      const wall = this.#doors.clock.wall()
      this.#date = new Date(wall).toUTCString()
      this.#dateUntilMs = now + 1_000 - (wall % 1_000)
    }
    return this.#date
  }
}
