import { Failure } from '../core/failure.ts'
import { Late, type Preparable } from '../core/late.ts'
import { askForName, type ReadAsk } from '../dialects/ask.ts'
import { modelNotFoundText } from '../dialects/errors.ts'
import { type Route, withoutSpareSlashes } from '../dialects/routes.ts'
import type { BodyFacts } from '../dialects/scan.ts'
import { mayChangeFleet } from '../guard/admin.ts'
import { sessionOf } from '../guard/session.ts'
import { tenantOf } from '../guard/tenant.ts'
import type { AnswerStyle } from '../proxy/answer.ts'
import { noBody, takeBody } from '../proxy/body.ts'
import { type Asked, Exchange } from '../proxy/exchange.ts'
import type { Done, Told } from '../proxy/manage/manager.ts'
import { continueWishOf } from './continue-wish.ts'
import type { HttpDoors } from './doors.ts'
import { mayBeSpread, planEmbedding, serveEmbedding } from './embed-split.ts'
import type { Visit } from './front.ts'
import { merged } from './merged.ts'
import { ProgressLines } from './progress-lines.ts'
import { askWithoutModel, readRequest } from './reading.ts'
import { recorded } from './recorded.ts'
import { refuse, refuseAsOllama, refuseUnread } from './refuse.ts'
import { asksForSplit, type Wishes, wishesOf } from './wishes.ts'

/** A visit whose wishes have been understood. */
interface Asking extends Visit {
  readonly wishes: Wishes
}

/** A request whose text is to be split, on a route of Ollama's. */
type SplitHandler = (visit: Visit, route: Route, wishes: Wishes) => Promise<void>

/** Ollama's routes, in the three languages that it speaks: read, then handed to the one that does the work. */
export class OllamaSurface {
  readonly #doors: HttpDoors
  readonly #split: Late<SplitHandler>
  readonly #now: () => number

  constructor(doors: HttpDoors) {
    this.#doors = doors
    const now = () => doors.clock.now()
    this.#now = now
    this.#split = new Late(async () => {
      const [{ serveNativeSplit }, { SplitSurface }] = await Promise.all([
        import('./native-split.ts'),
        import('./split-surface.ts'),
      ])
      const surface = new SplitSurface(doors)
      return (visit, route, wishes) => serveNativeSplit(visit, route, wishes, surface, doors)
    })
  }

  /** What is made late, so that it can be made before somebody waits for it. */
  get late(): readonly Preparable[] {
    return [this.#split, this.#doors.embed]
  }

  async handle(
    visit: Visit,
    route: Route,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    try {
      if (route.changesFleet) this.#mustBeAdmin(visit)
      // Before the body is taken: a wish that is refused must leave nothing held.
      const wishes = wishesOf(visit.request.headers, visit.arrivedMs)
      if (route.inference && asksForSplit(visit.request.headers)) {
        const serveSplit = await this.#split.get()
        return await serveSplit(visit, route, wishes)
      }
      await this.#handle({ ...visit, wishes }, route, params)
    } catch (error) {
      refuseUnread(visit, this.#doors, route, error)
    }
  }

  /** `forward_unknown`: a path that this version does not know goes to one backend as it is. */
  async forwardUnknown(visit: Visit): Promise<void> {
    const route: Route = {
      methods: [],
      path: visit.path,
      family: visit.path.startsWith('/v1/') ? 'openai' : 'ollama',
      op: 'other',
      treatment: 'account',
      seat: false,
      inference: false,
      body: 'raw',
      streams: false,
      framing: 'json',
      changesFleet: true,
    }
    await this.handle(visit, route, {})
  }

  #handle(
    visit: Asking,
    route: Route,
    params: Readonly<Record<string, string>>,
  ): Promise<void> | void {
    switch (route.treatment) {
      case 'self':
        return this.#root(visit)
      case 'merged':
        return this.#json(
          visit,
          merged(route, this.#doors.pool, this.#doors.settings.placement.aliases),
          route.family === 'openai' ? '\n' : '',
        )
      case 'account':
        return this.#toOne(visit, route)
      case 'blob':
        return this.#blob(visit, route, params['digest'] ?? '')
      case 'broadcast':
        return this.#manage(visit, route)
      case 'routed':
        return this.#routed(visit, route, params)
    }
  }

  async #routed(
    visit: Asking,
    route: Route,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { settings } = this.#doors
    const reading =
      route.body === 'none'
        ? withoutBody(askForName(route, params['model'] ?? ''))
        : readRequest(visit, route, this.#doors.bodies, settings.placement.affinity)
    const read = reading instanceof Promise ? await reading : reading
    if (!read.ok) return refuseAsOllama(visit, this.#doors, route, read)
    const exchange = this.#exchange(visit, route, read)
    this.#doors.server.place(exchange)
    if (read.ask.purpose === 'unload') return await this.#unload(visit, route, exchange)
    if (mayBeSpread(visit, route, exchange) && (await this.#spread(visit, route, exchange))) return
    await this.#doors.server.serve(exchange, this.#style(visit, route, read.ask.modelText))
  }

  /** True: it was a batch of embeddings that several backends have answered together. */
  async #spread(visit: Asking, route: Route, exchange: Exchange): Promise<boolean> {
    using batch = await planEmbedding(route, exchange, this.#doors)
    if (!batch) return false
    using _body = exchange.asked.body
    await this.#recorded(visit, exchange, () => serveEmbedding(visit, batch, exchange, this.#doors))
    return true
  }

  async #toOne(visit: Asking, route: Route): Promise<void> {
    const { manager, bodies, server } = this.#doors
    const body = await takeBody(visit.request.body, bodies, () => {})
    const chosen = await manager.accounts.holder()
    const exchange = this.#exchange(visit, route, {
      ask: askWithoutModel(route),
      body,
      pinned: chosen?.name,
    })
    await server.serve(exchange, this.#style(visit, route, ''))
    if (route.changesFleet) manager.accounts.forget()
  }

  async #unload(visit: Visit, route: Route, exchange: Exchange): Promise<void> {
    using _body = exchange.asked.body
    await this.#command(visit, exchange, async () => {
      const notFound = modelNotFoundText(route, exchange.asked.ask.modelText)
      const body = await this.#doors.manager.unload(exchange, notFound)
      return this.#send(visit, 200, 'application/json; charset=utf-8', body)
    })
  }

  async #manage(visit: Asking, route: Route): Promise<void> {
    const read = await readRequest(visit, route, this.#doors.bodies)
    if (!read.ok) return refuseAsOllama(visit, this.#doors, route, read)
    using body = read.body
    const exchange = this.#exchange(visit, route, { ask: read.ask, body })
    const facts = read.scan as BodyFacts
    const notFound = modelNotFoundText(route, read.ask.modelText)
    const { manager } = this.#doors
    await this.#command(visit, exchange, async () => {
      switch (route.op) {
        case 'copy':
          await manager.copy(exchange, facts, notFound)
          return this.#sendEmpty(visit, 200)
        case 'delete':
          await manager.delete(exchange, notFound)
          return this.#sendEmpty(visit, 200)
        case 'create':
          return await this.#progress(visit, exchange, (told) =>
            manager.create(exchange, facts, told),
          )
        default:
          return await this.#progress(visit, exchange, (told) => manager.pull(exchange, told))
      }
    })
  }

  /** Lines as they come and one last line; or only the last, with a status that says how it went. */
  async #progress(
    visit: Visit,
    exchange: Exchange,
    run: (told: Told) => Promise<Done>,
  ): Promise<number> {
    const { client } = exchange
    if (exchange.asked.ask.framing === 'json') {
      const { last, status, type } = await run({ line: () => {} })
      return this.#send(visit, status, type, Buffer.from(JSON.stringify(last)))
    }
    const lines = new ProgressLines(exchange, this.#headers(visit))
    const { last, status, type } = await run({ line: (each) => lines.tell(each) })
    // Refused before the first line: then a status can still be said.
    if (!client.started && status !== 200) {
      return this.#send(visit, status, type, Buffer.from(JSON.stringify(last)))
    }
    lines.end(last)
    return status
  }

  async #blob(visit: Asking, route: Route, digest: string): Promise<void> {
    const { manager } = this.#doors
    if (!/^sha256[:-][0-9a-f]{64}$/.test(digest))
      throw new Failure('request_invalid', 'invalid digest format')
    const exchange = this.#exchange(visit, route, { ask: askWithoutModel(route), body: noBody })
    await this.#command(visit, exchange, async () => {
      if (visit.request.method === 'HEAD') {
        const there = await manager.hasBlob(exchange, digest.replace('sha256-', 'sha256:'))
        return this.#sendEmpty(visit, there ? 200 : 404)
      }
      const status = await manager.takeBlob(exchange, digest, visit.request.body)
      return this.#sendEmpty(visit, status)
    })
  }

  /** At the drain limit of a stop it ends with a sentence, in a last line where there were lines already. */
  async #command(visit: Visit, exchange: Exchange, run: () => Promise<number>): Promise<void> {
    await this.#recorded(visit, exchange, async () => {
      try {
        return await this.#doors.commands.run(exchange, run)
      } catch (error) {
        const { client } = exchange
        if (error instanceof Failure && error.code === 'stopping' && client.started)
          client.end(Buffer.from(`${JSON.stringify({ error: error.message })}\n`))
        throw error
      }
    })
  }

  /** Told once, by `recorded`, and answered here where it failed. */
  async #recorded(visit: Visit, exchange: Exchange, run: () => Promise<number>): Promise<void> {
    try {
      await recorded(exchange, this.#doors, run)
    } catch (error) {
      refuse(visit, this.#doors, exchange.asked.ask, error)
    }
  }

  #root(visit: Visit): void {
    const { accept } = visit.request.headers
    if (visit.request.method === 'GET' && accept?.includes('text/html')) {
      visit.client.answer(302, ['Location', '/ui', ...this.#headers(visit)], Buffer.alloc(0))
      return
    }
    this.#send(visit, 200, 'text/plain; charset=utf-8', Buffer.from('Ollama is running'))
  }

  #exchange(
    visit: Asking,
    route: Route,
    { ask, body, pinned }: Pick<Asked, 'ask' | 'body'> & { pinned?: string | undefined },
  ): Exchange {
    const { request, wishes } = visit
    const { tenants } = this.#doors.settings
    const who = { peerAddress: request.peerAddress, headers: request.headers }
    const tenant = tenantOf(who, tenants)
    const asked: Asked = {
      id: visit.id,
      method: request.method,
      // The path that was checked, not the one that came: what is forwarded and what was judged are the same string.
      path: (route.path.includes(':') ? withoutSpareSlashes(visit.path) : route.path) + visit.query,
      rawHeaders: request.rawHeaders,
      tenant,
      session: ask.prefix === undefined ? undefined : sessionOf(who, tenant, tenants),
      // One by one: what is spread is copied as if nobody knew what is in it.
      labels: wishes.labels,
      work: wishes.work,
      deadlineMs: wishes.deadlineMs,
      priority: wishes.priority ?? 'normal',
      isPriorityChosen: wishes.priority !== undefined,
      arrivedMs: visit.arrivedMs,
      ask,
      body,
      pinned,
    }
    return new Exchange(asked, visit.client)
  }

  #style(visit: Visit, route: Route, modelText: string): AnswerStyle {
    const { continues, continuationWish, explains } = continueWishOf(visit, this.#doors.settings)
    return {
      family: route.family,
      op: route.op,
      modelUnknownText: () => modelNotFoundText(route, modelText),
      headers: visit.headers,
      continues,
      continuationWish,
      explains,
      now: this.#now,
    }
  }

  #mustBeAdmin(visit: Visit): void {
    const { request } = visit
    const { adminToken } = this.#doors.settings
    if (this.#doors.beside?.isFromProxy(request)) return
    const ask = {
      peerAddress: request.peerAddress,
      headers: request.headers,
      token: adminToken,
    }
    if (!mayChangeFleet(ask))
      throw new Failure(
        'admin_only',
        'this changes the fleet: call from this machine without forwarding headers, or with the admin token',
      )
  }

  #json(visit: Visit, value: unknown, end: string): void {
    this.#send(
      visit,
      200,
      end === '' ? 'application/json; charset=utf-8' : 'application/json',
      Buffer.from(JSON.stringify(value) + end),
    )
  }

  #send(
    visit: Visit,
    status: number,
    contentType: string | undefined,
    body: Buffer,
    more: readonly string[] = [],
  ): number {
    if (visit.client.started || visit.client.left) return status
    const type = contentType === undefined ? [] : ['Content-Type', contentType]
    const length = ['Content-Length', String(body.length)]
    visit.client.answer(status, [...type, ...length, ...this.#headers(visit), ...more], body)
    return status
  }

  #sendEmpty(visit: Visit, status: number): number {
    return this.#send(visit, status, undefined, Buffer.alloc(0))
  }

  #headers(visit: Visit): string[] {
    return ['X-Request-Id', visit.id, ...visit.headers]
  }
}

function withoutBody(read: ReadAsk) {
  return read.ok ? { ...read, body: noBody } : read
}
