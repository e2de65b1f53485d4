import { isIP } from 'node:net'
import type { Backend } from '../../core/backend.ts'
import type { Clock } from '../../core/clock.ts'
import type { LoopTurn } from '../../core/loop-turn.ts'
import type { Addresses } from '../addresses.ts'
import type { Wire, WireRequest } from '../wire.ts'
import { Connection } from './connection.ts'

/** Ollama never closes an idle connection; 30 s spares the handshake of a busy fleet and no more. */
const idleMsMax = 30_000
/** One that is kept ready stays longer, and is then made anew: what lies between may forget a connection without a word. */
const spareMsMax = 300_000
/** So many spare ones are opened side by side, each next one when one stands: nobody shall wait behind their opening. */
const sparesAtOnce = 4
/** What one read takes in at most. */
const readBytes = 65_536

/**
 * Plain HTTP straight on sockets, for what happens all the time: a body in memory, a backend without TLS. It costs
 * about half of what a general client costs. Everything else goes to `otherwise`.
 */
export function netWire(
  settings: { readonly connectMs: number },
  clock: Clock,
  otherwise: Wire,
  addresses: Addresses,
  turn: LoopTurn,
): Wire {
  const places = new Map<string, Place>()
  /** Undefined until somebody says it. */
  let inService: ReadonlySet<string> | undefined
  const readInto = Buffer.allocUnsafe(readBytes)

  const placeOf = (origin: string): Place => {
    let place = places.get(origin)
    if (!place) {
      place = new Place(origin, settings, clock, readInto, addresses, turn)
      places.set(origin, place)
      // Whoever is asked something though it was taken out keeps no connection for it.
      if (inService?.has(origin) === false) place.retire()
    }
    return place
  }
  addresses.onLeft((host) => {
    for (const place of places.values()) if (place.host === host) place.moved()
  })

  return {
    send(backend, request, listener) {
      if (!isPlain(backend, request)) return otherwise.send(backend, request, listener)
      // Before a connection is taken: a head that can not be sent must not cost one.
      const head = headText(backend, request)
      const connection = placeOf(backend.origin).take(request.fresh === true)
      return connection.send(
        head,
        request.body as Uint8Array | undefined,
        request.method === 'HEAD',
        listener,
      )
    },
    stats(backend) {
      const others = otherwise.stats(backend)
      const place = places.get(backend.origin)
      return {
        open: others.open + (place?.all.size ?? 0),
        idle: others.idle + (place?.idle.length ?? 0),
      }
    },
    keepSpare(backend, count) {
      if (!isPlain(backend, { body: undefined })) return
      if (count > 0 || places.has(backend.origin)) placeOf(backend.origin).keepSpare(count)
    },
    keepOnly(backends) {
      const origins = new Set(backends.map(({ origin }) => origin))
      inService = origins
      for (const [origin, place] of places) {
        if (origins.has(origin)) place.serve()
        else place.retire()
        if (place.all.size === 0) places.delete(origin)
      }
      otherwise.keepOnly(backends)
    },
    async close() {
      for (const place of places.values())
        for (const connection of [...place.all]) connection.destroy()
      places.clear()
      await otherwise.close()
    },
  }
}

function isPlain({ origin }: Backend, { body }: Pick<WireRequest, 'body'>): boolean {
  return origin.startsWith('http:') && (body === undefined || body instanceof Uint8Array)
}

/** The connections to one origin. The one used last is taken first, so that the spare ones grow old. */
class Place {
  readonly all = new Set<Connection>()
  readonly idle: Connection[] = []
  readonly host: string
  readonly #port: number
  /** Asked for each connection: a reload may change it. */
  readonly #settings: { readonly connectMs: number }
  readonly #clock: Clock
  readonly #readInto: Buffer
  readonly #addresses: Addresses
  readonly #turn: LoopTurn
  readonly #isNamed: boolean
  #sweep: Disposable | undefined
  #retired = false
  #sparesWanted = 0
  /** Spare ones that do not stand yet. */
  #sparesComing = 0

  constructor(
    origin: string,
    settings: { readonly connectMs: number },
    clock: Clock,
    readInto: Buffer,
    addresses: Addresses,
    turn: LoopTurn,
  ) {
    const { hostname, port } = new URL(origin)
    this.host = hostname.replace(/^\[|\]$/g, '')
    this.#port = Number(port) || 80
    this.#isNamed = isIP(this.host) === 0
    this.#addresses = addresses
    this.#turn = turn
    this.#settings = settings
    this.#clock = clock
    this.#readInto = readInto
  }

  take(fresh: boolean): Connection {
    return (fresh ? undefined : this.idle.pop()) ?? this.#open()
  }

  /** Fewer than are wanted are filled up; more grow old. */
  keepSpare(count: number): void {
    this.#sparesWanted = count
    this.#fillUp()
  }

  #fillUp(): void {
    while (
      !this.#retired &&
      this.#sparesComing < sparesAtOnce &&
      this.idle.length + this.#sparesComing < this.#sparesWanted
    ) {
      this.#sparesComing++
      this.#open(true)
    }
  }

  #open(isSpare = false): Connection {
    const address = { host: this.host, port: this.#port }
    let isComing = isSpare
    const connection = new Connection(address, this.#readInto, {
      clock: this.#clock,
      turn: this.#turn,
      connectMs: this.#settings.connectMs,
      free: (each) => this.#rest(each),
      gone: (each) => {
        this.all.delete(each)
        if (isComing) this.#sparesComing--
        isComing = false
        const index = this.idle.lastIndexOf(each)
        if (index >= 0) this.idle.splice(index, 1)
      },
      lookup: this.#addresses.lookup,
      stands: (each, address) => {
        if (this.#isNamed) {
          this.#addresses.reached(this.host, address)
          each.isLeft = !this.#addresses.has(this.host, address)
        }
        if (!isComing) return
        isComing = false
        this.#sparesComing--
        this.#rest(each)
        this.#fillUp()
      },
    })
    this.all.add(connection)
    return connection
  }

  #rest(connection: Connection): void {
    if (this.#retired || connection.isLeft) return connection.destroy()
    connection.rests()
    this.idle.push(connection)
    this.#sweepLater()
  }

  /** Lets idle ones go now, and busy ones when their answer has ended. */
  retire(): void {
    this.#retired = true
    for (const connection of [...this.idle]) connection.destroy()
  }

  /** It was taken out and is back, before its last answer had ended. */
  serve(): void {
    this.#retired = false
  }

  /** The server has another address now: what runs ends where it is, and whatever comes goes to the new one. */
  moved(): void {
    for (const connection of this.all) {
      const { address } = connection
      connection.isLeft = address !== undefined && !this.#addresses.has(this.host, address)
    }
    for (const connection of [...this.idle]) if (connection.isLeft) connection.destroy()
  }

  /** One timer for all of them. */
  #sweepLater(): void {
    this.#sweep ??= this.#clock.after(idleMsMax, () => {
      this.#sweep = undefined
      const now = this.#clock.now()
      // Those at the end were used last.
      for (const [index, connection] of [...this.idle].reverse().entries()) {
        const msMax = index < this.#sparesWanted ? spareMsMax : idleMsMax
        if (now - connection.idleSinceMs >= msMax) connection.destroy()
      }
      if (this.idle.length > 0) this.#sweepLater()
    })
  }
}

function lineEndsIn(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}

/** The request's head. Its parts were checked where they came in; one that could end a line would end the request. */
function headText(backend: Backend, { method, path, headers }: WireRequest): string {
  let text = `${method} ${backend.pathPrefix}${path} HTTP/1.1\r\n`
  for (let index = 0; index + 1 < headers.length; index += 2)
    text += `${headers[index]}: ${headers[index + 1]}\r\n`
  const lines = 1 + headers.length / 2
  if (lineEndsIn(text) !== lines) throw new Error('a line break in a request head')
  return `${text}\r\n`
}
