import { durationMs } from '../core/duration.ts'
import { Failure } from '../core/failure.ts'
import { askForName, type ReadAsk } from '../dialects/ask.ts'
import { errorAnswer, errorFrame, modelNotFoundText } from '../dialects/errors.ts'
import type { Route } from '../dialects/routes.ts'
import type { BodyFacts } from '../dialects/scan.ts'
import { mayChangeFleet } from '../guard/admin.ts'
import { tenantOf } from '../guard/tenant.ts'
import type { AnswerStyle } from '../proxy/answer.ts'
import { ClientGone, noBody, takeBody } from '../proxy/body.ts'
import { HttpClientSide } from '../proxy/client-side.ts'
import { type Asked, Exchange } from '../proxy/exchange.ts'
import { NotWanted } from '../proxy/queue.ts'
import { isPriority, type Priority } from '../routing/line.ts'
import type { HttpDoors } from './doors.ts'
import { endEarly } from './early-end.ts'
import type { Visit } from './front.ts'
import { merged } from './merged.ts'
import { askWithoutModel, readRequest } from './reading.ts'

/** Ollama's routes, in the three languages that it speaks: read, then handed to the one that does the work. */
export class OllamaSurface {
  readonly #doors: HttpDoors

  constructor(doors: HttpDoors) {
    this.#doors = doors
  }

  async handle(
    visit: Visit,
    route: Route,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    try {
      if (route.changesFleet) this.#mustBeAdmin(visit)
      await this.#handle(visit, route, params)
    } catch (error) {
      this.#refuse(visit, route, error)
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

  async #handle(
    visit: Visit,
    route: Route,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    switch (route.treatment) {
      case 'self':
        return this.#root(visit)
      case 'merged':
        return this.#json(
          visit,
          merged(route, this.#doors.pool),
          route.family === 'openai' ? '\n' : '',
        )
      case 'account':
        return await this.#toOne(visit, route)
      case 'blob':
        return await this.#blob(visit, route, params['digest'] ?? '')
      case 'broadcast':
        return await this.#manage(visit, route)
      case 'routed':
        return await this.#routed(visit, route, params)
    }
  }

  async #routed(
    visit: Visit,
    route: Route,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    const read =
      route.body === 'none'
        ? withoutBody(askForName(route, params['model'] ?? ''))
        : await readRequest(visit, route, this.#doors.bodies)
    if (!read.ok) return this.#answerError(visit, route, read.status, read.message)
    const exchange = this.#exchange(visit, route, read)
    if (read.ask.purpose === 'unload') return await this.#unload(visit, route, exchange)
    await this.#doors.server.serve(exchange, this.#style(visit, route, read.ask.modelText))
  }

  /** Accounts live on a server each: the first one that can serve is asked every time. */
  async #toOne(visit: Visit, route: Route): Promise<void> {
    const { pool, bodies, server } = this.#doors
    const body = await takeBody(visit.request, bodies, () => {})
    const chosen = pool.endpoints.find((endpoint) => endpoint.enabled && endpoint.ready)
    const exchange = this.#exchange(visit, route, {
      ask: askWithoutModel(route),
      body,
      pinned: chosen?.name,
    })
    await server.serve(exchange, this.#style(visit, route, ''))
  }

  async #unload(visit: Visit, route: Route, exchange: Exchange): Promise<void> {
    using _body = exchange.asked.body
    const body = await this.#doors.manager.unload(
      exchange,
      modelNotFoundText(route, exchange.asked.ask.modelText),
    )
    this.#send(visit, 200, 'application/json; charset=utf-8', body)
  }

  async #manage(visit: Visit, route: Route): Promise<void> {
    const read = await readRequest(visit, route, this.#doors.bodies)
    if (!read.ok) return this.#answerError(visit, route, read.status, read.message)
    using body = read.body
    const exchange = this.#exchange(visit, route, { ask: read.ask, body })
    const facts = read.scan as BodyFacts
    const notFound = modelNotFoundText(route, read.ask.modelText)
    const { manager } = this.#doors
    switch (route.op) {
      case 'copy':
        await manager.copy(exchange, facts, notFound)
        return this.#send(visit, 200, undefined, Buffer.alloc(0))
      case 'delete':
        await manager.delete(exchange, notFound)
        return this.#send(visit, 200, undefined, Buffer.alloc(0))
      case 'create':
        return await this.#progress(visit, exchange, (told) =>
          manager.create(exchange, facts, told),
        )
      default:
        return await this.#progress(visit, exchange, (told) => manager.pull(exchange, told))
    }
  }

  /** Lines as they come and one last line; or only the last, with a status that says how it went. */
  async #progress(
    visit: Visit,
    exchange: Exchange,
    run: (told: { line: (line: object) => void }) => Promise<object>,
  ): Promise<void> {
    const { client } = exchange
    if (exchange.asked.ask.framing === 'json') {
      const last = await run({ line: () => {} })
      const status = 'error' in last ? 500 : 200
      return this.#send(visit, status, 'application/json', Buffer.from(JSON.stringify(last)))
    }
    const line = (each: object) => {
      client.head(200, [
        'Content-Type',
        'application/x-ndjson',
        'X-Accel-Buffering',
        'no',
        ...this.#headers(visit),
      ])
      client.write(Buffer.from(`${JSON.stringify(each)}\n`))
    }
    try {
      line(await run({ line }))
      client.end()
    } catch (error) {
      if (!client.started || error instanceof NotWanted) throw error
      const message = error instanceof Error ? error.message : 'it failed'
      client.end(errorFrame('ollama', 'ndjson', message, undefined, exchange.asked.ask.op))
    }
  }

  async #blob(visit: Visit, route: Route, digest: string): Promise<void> {
    const { manager } = this.#doors
    if (visit.request.method === 'HEAD') {
      const exchange = this.#exchange(visit, route, { ask: askWithoutModel(route), body: noBody })
      if (!/^sha256[:-][0-9a-f]{64}$/.test(digest))
        return this.#answerError(visit, route, 400, 'invalid digest format')
      const there = await manager.hasBlob(exchange, digest.replace('sha256-', 'sha256:'))
      return this.#send(visit, there ? 200 : 404, undefined, Buffer.alloc(0))
    }
    const status = await manager.takeBlob(`/api/blobs/${digest}`, digest, visit.request)
    this.#send(visit, status, undefined, Buffer.alloc(0))
  }

  #root(visit: Visit): void {
    const { accept } = visit.request.headers
    if (visit.request.method === 'GET' && accept?.includes('text/html')) {
      visit.response.writeHead(302, ['Location', '/ui', ...this.#headers(visit)]).end()
      return
    }
    this.#send(visit, 200, 'text/plain; charset=utf-8', Buffer.from('Ollama is running'))
  }

  #exchange(
    visit: Visit,
    route: Route,
    { ask, body, pinned }: Pick<Asked, 'ask' | 'body'> & { pinned?: string | undefined },
  ): Exchange {
    const { request } = visit
    const asked: Asked = {
      id: visit.id,
      method: request.method ?? 'POST',
      // The path that was checked, not the one that came: what is forwarded and what was judged are the same string.
      path: (route.path.includes(':') ? visit.path : route.path) + visit.query,
      rawHeaders: request.rawHeaders,
      tenant: tenantOf(
        { peerAddress: request.socket.remoteAddress, headers: request.headers },
        this.#doors.settings.tenants,
      ),
      ...wishesOf(request.headers),
      deadlineMs: deadlineOf(request.headers['x-chasqui-deadline'], visit.arrivedMs),
      arrivedMs: visit.arrivedMs,
      ask,
      body,
      pinned,
    }
    return new Exchange(asked, new HttpClientSide(visit.response))
  }

  #style(visit: Visit, route: Route, modelText: string): AnswerStyle {
    return {
      family: route.family,
      op: route.op,
      modelUnknownText: modelNotFoundText(route, modelText),
      headers: visit.headers,
      now: () => this.#doors.clock.now(),
    }
  }

  #mustBeAdmin(visit: Visit): void {
    const { request } = visit
    const { adminToken } = this.#doors.settings
    const ask = {
      peerAddress: request.socket.remoteAddress,
      headers: request.headers,
      token: adminToken,
    }
    if (!mayChangeFleet(ask))
      throw new Failure(
        'admin_only',
        'this changes the fleet: call from this machine without forwarding headers, or with the admin token',
      )
  }

  #refuse(visit: Visit, route: Route, error: unknown): void {
    if (error instanceof ClientGone || error instanceof NotWanted) {
      visit.response.destroy()
      return
    }
    if (!(error instanceof Failure))
      this.#doors.observer.noticed('a request failed inside the proxy', {
        id: visit.id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
    const failure =
      error instanceof Failure
        ? error
        : new Failure('internal', 'something went wrong inside the proxy')
    if (visit.response.headersSent) {
      visit.response.destroy()
      return
    }
    this.#answerError(visit, route, failure.status, failure.message, failure)
  }

  #answerError(
    visit: Visit,
    route: Route,
    status: number,
    message: string,
    failure?: Failure,
  ): void {
    const answer = errorAnswer(route.family, status, message, {
      requestId: visit.id,
      ...(failure ? { code: failure.code } : {}),
    })
    const more =
      failure?.retryAfterS === undefined ? [] : ['Retry-After', String(failure.retryAfterS)]
    endEarly(visit)
    this.#send(visit, status, answer.contentType, answer.body, more)
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
  ): void {
    if (visit.response.headersSent || visit.response.destroyed) return
    const type = contentType === undefined ? [] : ['Content-Type', contentType]
    visit.response
      .writeHead(status, [
        ...type,
        'Content-Length',
        String(body.length),
        ...this.#headers(visit),
        ...more,
      ])
      .end(visit.request.method === 'HEAD' ? undefined : body)
  }

  #headers(visit: Visit): string[] {
    return ['X-Request-Id', visit.id, ...visit.headers]
  }
}

function withoutBody(read: ReadAsk) {
  return read.ok ? { ...read, body: noBody } : read
}

/** What a client may wish for by header. A wish that is not understood is an error, not silence. */
function wishesOf(headers: Visit['request']['headers']): {
  priority: Priority
  labels: readonly string[]
  work: string
} {
  const priority = headers['x-chasqui-priority'] ?? 'normal'
  if (typeof priority !== 'string' || !isPriority(priority))
    throw new Failure('request_invalid', 'X-Chasqui-Priority is interactive, normal or batch')
  const labels = headers['x-chasqui-labels']
  const work = headers['x-chasqui-work']
  return {
    priority,
    labels:
      typeof labels === 'string'
        ? labels
            .split(',')
            .map((label) => label.trim())
            .filter((label) => label !== '')
        : [],
    work: typeof work === 'string' ? work.slice(0, 100) : '',
  }
}

/** `X-Chasqui-Deadline: 30s`, or seconds: when the whole answer must be there. */
function deadlineOf(given: string | string[] | undefined, arrivedMs: number): number | undefined {
  if (typeof given !== 'string') return undefined
  const ms = /^\d+(\.\d+)?$/.test(given) ? Number(given) * 1_000 : durationMs(given)
  if (ms === undefined || ms <= 0)
    throw new Failure('request_invalid', 'X-Chasqui-Deadline is a duration such as 30s')
  return arrivedMs + ms
}
