import { Late, type Preparable } from '../core/late.ts'
import { errorAnswer, notAllowedText, notFoundText } from '../dialects/errors.ts'
import { findRoute, mayBeUnknown } from '../dialects/routes.ts'
import { hostAllowed, originAllowed } from '../guard/browser.ts'
import { corsHeaders, preflightAnswer } from '../guard/cors.ts'
import type { ClientSide } from '../proxy/client-side.ts'
import type { Arrived } from './arrived.ts'
import type { HttpDoors } from './doors.ts'
import type { GenerateSurface } from './generate-surface.ts'
import { OllamaSurface } from './ollama-surface.ts'
import { refuseUnread } from './refuse.ts'
import { requestIdOf } from './request-id.ts'

/** A request past the guard: what every surface needs to know of it. */
export interface Visit {
  readonly request: Arrived
  readonly client: ClientSide
  readonly id: string
  readonly path: string
  /** With the question mark, or empty. */
  readonly query: string
  readonly arrivedMs: number
  /** Name, value …: what every answer to it carries. */
  readonly headers: readonly string[]
}

/** Names in Host fields remembered; more than this are somebody's inventions. */
const hostsMax = 1_000
/** A DNS name has at most 253 characters, and a port follows it. */
const hostLengthMax = 260
const nothing = Buffer.alloc(0)

/**
 * The front door: who may come in, and to which surface. Inference never passes a framework; everything else goes on
 * to Fastify. Ollama's own protection against foreign web pages is done here, since the backends can not see past us.
 */
export class FrontDoor {
  readonly #doors: HttpDoors
  readonly #ollama: OllamaSurface
  readonly #generate: Late<GenerateSurface>
  readonly #ours: ReadonlySet<string>
  readonly #hosts = new Map<string, boolean>()
  /** What those were judged by: a reload may exchange it. */
  #hostsBy: readonly string[] | undefined

  /** `ours`: first path segments that Fastify serves; behind /api, second ones. */
  constructor(doors: HttpDoors, ours: ReadonlySet<string>) {
    this.#doors = doors
    this.#ours = ours
    this.#ollama = new OllamaSurface(doors)
    this.#generate = new Late(async () => {
      const { GenerateSurface } = await import('./generate-surface.ts')
      return new GenerateSurface(doors)
    })
  }

  /** Undefined: taken care of. Otherwise Fastify answers, with these headers (name, value …) beside its own. */
  handle(request: Arrived, clientSide: ClientSide): readonly string[] | undefined {
    const { target } = request
    const { beside } = this.#doors
    const client = beside?.clientOf(request, clientSide) ?? clientSide
    const mark = target.indexOf('?')
    const path = mark < 0 ? target : target.slice(0, mark)
    const headers = this.#admit(request, client, path)
    if (!headers) return undefined
    if (beside?.handle(request, client, path)) return undefined
    if (this.#isOurs(path)) return headers
    const visit: Visit = {
      request,
      client,
      id: requestIdOf(request.headers['x-request-id']),
      path,
      query: mark < 0 ? '' : target.slice(mark),
      arrivedMs: this.#doors.clock.now(),
      headers,
    }
    if (request.headers.via?.includes(this.#doors.hop)) {
      this.#plain(visit, 508, 'this request has come back to the proxy that it came from')
      return undefined
    }
    if (path === '/generate') {
      this.#generate.get().then(
        (surface) => surface.handle(visit),
        (error: unknown) =>
          refuseUnread(visit, this.#doors, { family: 'own', op: 'generate' }, error),
      )
      return undefined
    }
    const found = findRoute(request.method, path)
    if (found.kind === 'route') {
      void this.#ollama.handle(visit, found.route, found.params)
    } else if (found.kind === 'notAllowed') {
      this.#plain(visit, 405, notAllowedText, ['Allow', found.allow])
    } else if (this.#doors.settings.forwardUnknown && mayBeUnknown(request.method, path)) {
      void this.#ollama.forwardUnknown(visit)
    } else {
      this.#plain(visit, 404, notFoundText)
    }
    return undefined
  }

  /** What is made late, so that it can be made before somebody waits for it. */
  get late(): readonly Preparable[] {
    return [this.#generate, ...this.#ollama.late]
  }

  /** The headers that the answer must carry, or undefined when the request has been refused here. */
  #admit(request: Arrived, client: ClientSide, path: string): string[] | undefined {
    const { allowedOrigins, allowedHosts, listen } = this.#doors.settings
    const { host, origin } = request.headers
    if (!this.#hostAllowed(host, listen.host, allowedHosts)) {
      this.#refuse(request, client, path, 'host_refused')
      return undefined
    }
    if (origin === undefined) return []
    if (!originAllowed(origin, host, allowedOrigins)) {
      this.#refuse(request, client, path, 'origin_refused')
      return undefined
    }
    if (request.method === 'OPTIONS') {
      const answer = preflightAnswer(origin, host, allowedOrigins)
      if (answer) {
        client.answer(answer.status, Object.entries(answer.headers).flat(), nothing)
        return undefined
      }
    }
    return Object.entries(corsHeaders(origin, host, allowedOrigins)).flat()
  }

  /** Ollama's refusal has no body; on our own paths there is room to say what would help. */
  #refuse(
    request: Arrived,
    client: ClientSide,
    path: string,
    code: 'host_refused' | 'origin_refused',
  ): void {
    if (path !== '/generate' && !this.#isOurs(path)) {
      client.answer(403, ['Content-Length', '0'], nothing)
      return
    }
    const id = requestIdOf(request.headers['x-request-id'])
    const sentence = code === 'host_refused' ? 'this is no name of ours' : 'this page may not call'
    const { contentType, body } = errorAnswer('own', 403, sentence, { code, requestId: id })
    const length = String(body.length)
    client.answer(
      403,
      ['Content-Type', contentType, 'Content-Length', length, 'X-Request-Id', id],
      body,
    )
  }

  /** A listener is called by few names, so each is judged once. */
  #hostAllowed(host: string | undefined, listenHost: string, extra: readonly string[]): boolean {
    if (extra !== this.#hostsBy) this.#hosts.clear()
    this.#hostsBy = extra
    const known = this.#hosts.get(host ?? '')
    if (known !== undefined) return known
    const allowed = hostAllowed(host, listenHost, extra)
    if (host !== undefined && host.length > hostLengthMax) return allowed
    if (this.#hosts.size >= hostsMax) this.#hosts.clear()
    this.#hosts.set(host ?? '', allowed)
    return allowed
  }

  #isOurs(path: string): boolean {
    const firstEnd = path.indexOf('/', 1)
    const first = path.slice(1, firstEnd < 0 ? undefined : firstEnd)
    if (first !== 'api' || firstEnd < 0) return this.#ours.has(first)
    const secondEnd = path.indexOf('/', firstEnd + 1)
    return this.#ours.has(path.slice(1, secondEnd < 0 ? undefined : secondEnd))
  }

  #plain(visit: Visit, status: number, text: string, more: readonly string[] = []): void {
    const body =
      status === 508
        ? errorAnswer('own', status, text, { code: 'loop', requestId: visit.id })
        : { contentType: 'text/plain', body: Buffer.from(text) }
    const headers = ['Content-Type', body.contentType, 'Content-Length', String(body.body.length)]
    visit.client.answer(
      status,
      [...headers, 'X-Request-Id', visit.id, ...visit.headers, ...more],
      body.body,
    )
  }
}
