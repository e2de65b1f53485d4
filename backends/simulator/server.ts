import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Clock, scaledClock, sleep } from '../../src/core/clock.ts'
import { type Dice, seededDice } from '../../src/core/dice.ts'
import { decoded, readBody } from './body.ts'
import { control } from './control.ts'
import { datedClock } from './dated-clock.ts'
import { hostAllowed, originAllowed, preflightHeaders, preflightVary } from './doors.ts'
import { Downloads } from './downloads.ts'
import { refuse } from './families.ts'
import { Faults } from './faults.ts'
import { Fields, isObject, parseFirst, toGoJson } from './go-json.ts'
import { findModel, fingerprintOf, type House } from './inference.ts'
import { ModelStore, type StoredModel } from './models.ts'
import { type ModelStats, Occupancy } from './occupancy.ts'
import { inLayer, Refusal } from './refusal.ts'
import { Reply } from './reply.ts'
import { findRoute } from './router.ts'
import type { Call, Route } from './routes.ts'
import { routes } from './routes-all.ts'
import { Runner } from './runner.ts'
import { Scheduler } from './scheduler.ts'
import {
  defaultSettings,
  lastOldVersion,
  type ModelSpec,
  type SimulatorSettings,
} from './settings.ts'
import { SharedEngine } from './shared-engine.ts'
import { sha256 } from './text.ts'
import { Trace, type TraceEntry } from './trace.ts'

/** Enough for nobody to wait for a cloud model. */
const cloudSlots = 1_000

export type { Fault } from './faults.ts'
export type { ModelSpec, SimulatorSettings } from './settings.ts'

export interface SimulatorStats {
  readonly name: string
  readonly runners: readonly {
    readonly model: string
    readonly weights: string
    readonly slots: number
    readonly running: number
    readonly waiting: number
    readonly refcount: number
    /** False: its process has died and nobody has noticed; /api/ps still lists it. */
    readonly alive: boolean
    readonly contextTokens: number
    readonly keepAliveMs: number | 'forever'
    readonly sizeBytes: number
  }[]
  readonly pending: readonly {
    readonly model: string
    readonly loading: boolean
    readonly gone: boolean
  }[]
  /** By canonical name: what is there now and the most that ever was. */
  readonly models: Readonly<Record<string, ModelStats>>
  /** Requests outside of the control path since the start. */
  readonly requests: number
  readonly openRequests: number
  /** Transfers of layers that were begun since the last start. */
  readonly downloads: number
}

export interface Simulator extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly settings: SimulatorSettings
  readonly faults: Faults
  trace(): TraceEntry[]
  clearTrace(): void
  stats(): SimulatorStats
  /** Kills the process behind a loaded model, or behind all of them. */
  crashRunner(model?: string): number
  /** So many times slower than its settings say, as a hot card is; false: its engine is stepped and can not be. */
  slowDown(times: number): boolean
  /** A model appears on the disk without anybody having used the API. */
  addModel(spec: ModelSpec): StoredModel
  removeModel(name: string): boolean
  /** Down, every connection cut and everything loaded forgotten; up again on the same port after `downMs`. */
  restart(downMs?: number): Promise<void>
  close(): Promise<void>
}

export async function startSimulator(
  given: Partial<SimulatorSettings> = {},
  doors: { clock?: Clock; dice?: Dice } = {},
): Promise<Simulator> {
  const settings: SimulatorSettings = {
    ...defaultSettings,
    ...(given.generation === 'old' ? { version: lastOldVersion } : {}),
    ...given,
  }
  const { clockSpeed, datesFromMs } = settings
  const ownClock =
    datesFromMs === undefined ? scaledClock(clockSpeed) : datedClock(clockSpeed, datesFromMs)
  const clock = doors.clock ?? ownClock
  const dice = doors.dice ?? seededDice(settings.seed)
  const machine = new Machine(settings, clock, dice)
  await machine.listen()
  return machine
}

class Machine implements Simulator {
  readonly settings: SimulatorSettings
  readonly faults: Faults
  readonly #clock: Clock
  readonly #dice: Dice
  readonly #trace: Trace
  readonly #routes: readonly Route[]
  readonly #store: ModelStore
  readonly #occupancy: Occupancy
  readonly #engine: SharedEngine | undefined
  #house: House
  #server: Server
  #port: number
  #closed = false
  #requests = 0
  #open = 0
  #reopening: Disposable | undefined
  /** Down on purpose: it opens again by itself, whatever becomes of a fault in the meantime. */
  #restarting = false

  constructor(settings: SimulatorSettings, clock: Clock, dice: Dice) {
    this.settings = settings
    this.#clock = clock
    this.#dice = dice
    this.#routes = routes.filter(({ path }) => !settings.missingRoutes.includes(path))
    this.#trace = new Trace(clock, settings.traceMax)
    this.#store = new ModelStore(settings, clock)
    this.#occupancy = new Occupancy()
    this.#engine = settings.engine === 'shared' ? new SharedEngine(settings, clock) : undefined
    this.faults = new Faults(dice, settings.faults, () => this.#faultsChanged())
    this.#port = settings.port
    this.#house = this.#newHouse()
    for (const name of settings.preloaded) {
      const model = findModel(this.#house, name)
      this.#house.scheduler.preload(model, fingerprintOf(model, {}, true, settings))
    }
    this.#server = this.#newServer()
  }

  get port(): number {
    return this.#port
  }
  get url(): string {
    return `http://${this.settings.host}:${this.#port}`
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, this.settings.host, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.#port = (this.#server.address() as AddressInfo).port
    if (this.faults.refusal()) this.#faultsChanged()
  }

  trace(): TraceEntry[] {
    return this.#trace.entries()
  }
  clearTrace(): void {
    this.#trace.clear()
    this.#occupancy.clearPeaks()
  }

  stats(): SimulatorStats {
    const { scheduler } = this.#house
    return {
      name: this.settings.name,
      runners: scheduler.runners().map((runner) => ({
        model: runner.model.name,
        weights: runner.model.weights,
        slots: runner.slots,
        running: runner.running,
        waiting: runner.waiting,
        refcount: runner.refcount,
        alive: !runner.died.signal.aborted,
        contextTokens: runner.fingerprint.contextTokens,
        keepAliveMs: Number.isFinite(runner.keepAliveMs) ? runner.keepAliveMs : 'forever',
        sizeBytes: runner.sizeBytes,
      })),
      pending: scheduler.pending(),
      models: this.#occupancy.all(),
      requests: this.#requests,
      openRequests: this.#open,
      downloads: this.#house.downloads.begun,
    }
  }

  crashRunner(model?: string): number {
    const { scheduler } = this.#house
    const wanted = model === undefined ? undefined : this.#store.find(model)?.weights
    let crashed = 0
    for (const runner of scheduler.runners()) {
      if (model !== undefined && runner.model.weights !== wanted) continue
      if (scheduler.crash(runner.model.weights)) crashed++
    }
    return crashed
  }

  slowDown(times: number): boolean {
    this.#engine?.slowDown(times)
    return this.#engine !== undefined
  }
  addModel(spec: ModelSpec): StoredModel {
    return this.#store.add(spec)
  }
  removeModel(name: string): boolean {
    const model = this.#store.find(name)
    if (model) this.#store.remove(model)
    return model !== undefined
  }

  async restart(downMs = 0): Promise<void> {
    this.#restarting = true
    await this.#down()
    this.#house = this.#newHouse()
    this.#store.prune()
    if (downMs > 0) await sleep(this.#clock, downMs)
    this.#restarting = false
    if (this.#closed) return
    this.#server = this.#newServer()
    await this.listen()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#reopening?.[Symbol.dispose]()
    await this.#down()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #down(): Promise<void> {
    this.#house.scheduler.close()
    const server = this.#server
    server.closeAllConnections()
    if (!server.listening) return
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  #newHouse(): House {
    const { settings } = this
    const surroundings = {
      settings,
      clock: this.#clock,
      dice: this.#dice,
      trace: this.#trace,
      faults: this.faults,
      occupancy: this.#occupancy,
      engine: this.#engine,
    }
    const remote: SimulatorSettings = { ...settings, slots: cloudSlots, kinds: {}, models: [] }
    const cloudModel = new ModelStore(remote, this.#clock).add({ name: 'remote:cloud' })
    return {
      settings,
      clock: this.#clock,
      dice: this.#dice,
      store: this.#store,
      scheduler: new Scheduler(surroundings),
      trace: this.#trace,
      occupancy: this.#occupancy,
      downloads: new Downloads(this.#clock, settings.pullBytesPerSecond, (digest, sizeBytes) =>
        this.#store.addBlob(digest, sizeBytes),
      ),
      cloud: new Runner(
        cloudModel,
        { contextTokens: settings.contextTrainDefault, others: '', gpuLayers: undefined },
        Infinity,
        0,
        { ...surroundings, settings: remote, engine: undefined },
      ),
    }
  }

  #newServer(): Server {
    const server = createServer(
      { noDelay: true, keepAlive: true, maxHeaderSize: 2 ** 20, keepAliveTimeout: 0 },
      (req, res) => void this.#receive(req, res),
    )
    // Go's server waits for ever, for heads, for bodies and between requests.
    server.requestTimeout = 0
    server.headersTimeout = 0
    server.timeout = 0
    server.on('clientError', (_error, socket) => {
      if (socket.writable)
        socket.end(
          'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request',
        )
      else socket.destroy()
    })
    return server
  }

  get #isDown(): boolean {
    return this.#closed || this.#restarting
  }

  #faultsChanged(): void {
    const refusal = this.faults.refusal()
    if (refusal && this.#server.listening) {
      this.#server.close()
      this.#server.closeIdleConnections()
      if (refusal.ms !== undefined)
        this.#reopening = this.#clock.after(refusal.ms, () => this.faults.clear('refuse'))
    } else if (!refusal && !this.#server.listening && this.#port !== 0 && !this.#isDown) {
      this.#server.listen(this.#port, this.settings.host)
    }
  }

  async #receive(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // A socket that breaks is an everyday thing here and never a reason to end.
    res.on('error', () => {})
    req.on('error', () => {})
    try {
      const target = req.url ?? '/'
      const path = target.split('?')[0] ?? '/'
      if (path.startsWith('/sim/')) await this.#control(req, res, path)
      else await this.#serve(req, res, path)
    } catch (error) {
      if (!res.headersSent) res.writeHead(500)
      res.end(String(error))
    }
  }

  async #control(req: IncomingMessage, res: ServerResponse, path: string): Promise<void> {
    const body = (await readBody(req)) ?? Buffer.alloc(0)
    let answer: { status: number; body: unknown }
    try {
      answer = await control(this, req.method ?? 'GET', path, body)
    } catch (error) {
      answer = { status: 400, body: { error: String(error) } }
    }
    res.writeHead(answer.status, { 'Content-Type': 'application/json' })
    res.end(`${JSON.stringify(answer.body)}\n`)
  }

  async #serve(req: IncomingMessage, res: ServerResponse, path: string): Promise<void> {
    const method = req.method ?? 'GET'
    this.#requests++
    this.#open++
    const entry = this.#trace.begin(method, path, req.rawHeaders)
    const reply = new Reply(req, res, entry, this.#clock)
    const house = this.#house
    try {
      const found = findRoute(this.#routes, method, path)
      // The router comes first: it redirects whoever asks, and says what is allowed even to those who may not come in.
      if (found.kind === 'wrong-method') res.setHeader('Allow', found.allow)
      if (found.kind !== 'elsewhere' && !this.#letIn(req, reply)) return
      switch (found.kind) {
        case 'elsewhere':
          return redirect(reply, req, found.path, found.permanent)
        case 'unknown':
          req.resume()
          return reply.routerText(404, '404 page not found')
        case 'wrong-method':
          req.resume()
          return reply.routerText(405, '405 method not allowed')
        case 'route':
          await this.#run(house, found.route, found.parameter, req, path, reply)
      }
    } catch (failure) {
      if (reply.signal.aborted || reply.started) {
        if (!reply.signal.aborted) req.socket.destroy()
        return
      }
      refuse(reply, path, failure instanceof Refusal ? failure : new Refusal(500, String(failure)))
    } finally {
      this.#open--
      this.#trace.finish(entry)
      this.#occupancy.leave(entry)
    }
  }

  #letIn(req: IncomingMessage, reply: Reply): boolean {
    const origin = originAllowed(req, this.settings)
    if (origin === false) {
      req.resume()
      reply.empty(403)
      return false
    }
    if (origin !== undefined) {
      reply.res.setHeader('Access-Control-Allow-Origin', origin)
      reply.res.setHeader('Vary', 'Origin')
      if (req.method === 'OPTIONS') {
        for (const [name, value] of Object.entries(preflightHeaders))
          reply.res.setHeader(name, value)
        reply.res.setHeader('Vary', preflightVary)
        reply.entry.status = 204
        reply.res.writeHead(204)
        reply.res.end()
        return false
      }
    }
    if (hostAllowed(req.headers.host, this.settings)) return true
    req.resume()
    reply.empty(403)
    return false
  }

  async #run(
    house: House,
    route: Route,
    parameter: string,
    req: IncomingMessage,
    path: string,
    reply: Reply,
  ): Promise<void> {
    let body: Buffer = Buffer.alloc(0)
    if (!route.streamsBody && req.method !== 'GET' && req.method !== 'HEAD') {
      const raw = await readBody(req)
      if (raw === undefined) return reply.leave('client left before its request was complete')
      this.#remember(reply.entry, raw)
      body = inLayer(() => decoded(req, path, raw))
    }
    reply.entry.model = modelOf(body)
    reply.use(this.faults.forRequest(path, reply.entry.model))
    if (await reply.beforeHead()) return
    const status = reply.fault('status')
    if (status) throw new Refusal(status.status ?? 500, status.text ?? 'injected failure')
    if (reply.fault('busy'))
      throw new Refusal(503, 'server busy, please try again.  maximum pending requests exceeded')
    if (reply.fault('forget-model'))
      throw new Refusal(404, `model '${reply.entry.model ?? ''}' not found`)
    const call: Call = { req, path, parameter, body }
    await route.handle(house, call, reply)
  }

  #remember(entry: TraceEntry, raw: Buffer): void {
    entry.bodyBytes = raw.length
    if (raw.length > 0) entry.bodySha256 = sha256(raw)
    const kept = this.settings.traceBodyBytes
    if (kept > 0) entry.bodyText = raw.subarray(0, kept).toString('utf8')
  }
}

/** The model that a body names, for the trace; whether the body is right is the route's business. */
function modelOf(body: Buffer): string | undefined {
  if (body.length === 0) return undefined
  try {
    const value = parseFirst(body.toString('utf8'))
    if (!isObject(value)) return undefined
    const fields = new Fields(value, '')
    const model = fields.get('model') ?? fields.get('name')
    return typeof model === 'string' ? model : undefined
  } catch {
    return undefined
  }
}

function redirect(reply: Reply, req: IncomingMessage, path: string, permanent: boolean): void {
  req.resume()
  const query = (req.url ?? '').split('?')[1]
  const target = query === undefined ? path : `${path}?${query}`
  reply.res.setHeader('Location', target)
  const status = permanent ? 301 : 307
  if (req.method !== 'GET') {
    reply.empty(status)
    return
  }
  const words = permanent ? 'Moved Permanently' : 'Temporary Redirect'
  reply.send(status, 'text/html; charset=utf-8', `<a href=${toGoJson(target)}>${words}</a>.\n\n`)
}
