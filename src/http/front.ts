import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorAnswer, notAllowedText, notFoundText } from '../dialects/errors.ts'
import { findRoute } from '../dialects/routes.ts'
import { hostAllowed, originAllowed } from '../guard/browser.ts'
import { corsHeaders, preflightAnswer } from '../guard/cors.ts'
import type { HttpDoors } from './doors.ts'
import { GenerateSurface } from './generate-surface.ts'
import { OllamaSurface } from './ollama-surface.ts'
import { requestIdOf } from './request-id.ts'

/** A request past the guard: what every surface needs to know of it. */
export interface Visit {
  readonly request: IncomingMessage
  readonly response: ServerResponse
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

/**
 * The front door: who may come in, and to which surface. Inference never passes a framework; everything else goes on
 * to Fastify. Ollama's own protection against foreign web pages is done here, since the backends can not see past us.
 */
export class FrontDoor {
  readonly #doors: HttpDoors
  readonly #ollama: OllamaSurface
  readonly #generate: GenerateSurface
  readonly #ours: ReadonlySet<string>
  readonly #hosts = new Map<string, boolean>()

  /** `ours`: first path segments that Fastify serves; behind /api, second ones. */
  constructor(doors: HttpDoors, ours: ReadonlySet<string>) {
    this.#doors = doors
    this.#ours = ours
    this.#ollama = new OllamaSurface(doors)
    this.#generate = new GenerateSurface(doors)
  }

  /** False: not for us, Fastify answers. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const target = originForm(request.url ?? '/')
    const mark = target.indexOf('?')
    const path = mark < 0 ? target : target.slice(0, mark)
    const headers = this.#admit(request, response, path)
    if (!headers) return true
    if (this.#isOurs(path)) {
      for (let index = 0; index < headers.length; index += 2)
        response.setHeader(headers[index]!, headers[index + 1]!)
      return false
    }
    const visit: Visit = {
      request,
      response,
      id: requestIdOf(request.headers['x-request-id']),
      path,
      query: mark < 0 ? '' : target.slice(mark),
      arrivedMs: this.#doors.clock.now(),
      headers,
    }
    if (request.headers.via?.includes(this.#doors.hop)) {
      this.#plain(visit, 508, 'this request has come back to the proxy that it came from')
      return true
    }
    if (path === '/generate') {
      void this.#generate.handle(visit)
      return true
    }
    const found = findRoute(request.method ?? 'GET', path)
    if (found.kind === 'route') {
      void this.#ollama.handle(visit, found.route, found.params)
    } else if (found.kind === 'notAllowed') {
      this.#plain(visit, 405, notAllowedText, ['Allow', found.allow])
    } else if (this.#doors.settings.forwardUnknown && /^\/(api|v1)\//.test(path)) {
      void this.#ollama.forwardUnknown(visit)
    } else {
      this.#plain(visit, 404, notFoundText)
    }
    return true
  }

  /** The headers that the answer must carry, or undefined when the request has been refused here. */
  #admit(request: IncomingMessage, response: ServerResponse, path: string): string[] | undefined {
    const { allowedOrigins, allowedHosts, listen } = this.#doors.settings
    const { host, origin } = request.headers
    if (hostLines(request) > 1 || !this.#hostAllowed(host, listen.host, allowedHosts)) {
      this.#refuse(request, response, path, 'host_refused')
      return undefined
    }
    if (origin === undefined) return []
    if (!originAllowed(origin, host, allowedOrigins)) {
      this.#refuse(request, response, path, 'origin_refused')
      return undefined
    }
    if (request.method === 'OPTIONS') {
      const answer = preflightAnswer(origin, host, allowedOrigins)
      if (answer) {
        response.writeHead(answer.status, answer.headers).end()
        return undefined
      }
    }
    return Object.entries(corsHeaders(origin, host, allowedOrigins)).flat()
  }

  /** Ollama's refusal has no body; on our own paths there is room to say what would help. */
  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    code: 'host_refused' | 'origin_refused',
  ): void {
    if (path !== '/generate' && !this.#isOurs(path)) {
      response.writeHead(403, ['Content-Length', '0']).end()
      return
    }
    const id = requestIdOf(request.headers['x-request-id'])
    const sentence = code === 'host_refused' ? 'this is no name of ours' : 'this page may not call'
    const { contentType, body } = errorAnswer('own', 403, sentence, { code, requestId: id })
    const length = String(body.length)
    response
      .writeHead(403, ['Content-Type', contentType, 'Content-Length', length, 'X-Request-Id', id])
      .end(body)
  }

  /** A listener is called by few names, so each is judged once. */
  #hostAllowed(host: string | undefined, listenHost: string, extra: readonly string[]): boolean {
    const known = this.#hosts.get(host ?? '')
    if (known !== undefined) return known
    const allowed = hostAllowed(host, listenHost, extra)
    if (host !== undefined && host.length > hostLengthMax) return allowed
    if (this.#hosts.size >= hostsMax) this.#hosts.clear()
    this.#hosts.set(host ?? '', allowed)
    return allowed
  }

  #isOurs(path: string): boolean {
    const [, first = '', second = ''] = path.split('/', 3)
    return this.#ours.has(first === 'api' ? `api/${second}` : first)
  }

  #plain(visit: Visit, status: number, text: string, more: readonly string[] = []): void {
    const body =
      status === 508
        ? errorAnswer('own', status, text, { code: 'loop', requestId: visit.id })
        : { contentType: 'text/plain', body: Buffer.from(text) }
    visit.response
      .writeHead(status, [
        'Content-Type',
        body.contentType,
        'Content-Length',
        String(body.body.length),
        'X-Request-Id',
        visit.id,
        ...visit.headers,
        ...more,
      ])
      .end(visit.request.method === 'HEAD' ? undefined : body.body)
    visit.request.resume()
  }
}

/** An absolute-form target (RFC 9112 3.2.2) means its path; a proxy must understand it. */
function originForm(target: string): string {
  if (target.startsWith('/')) return target
  const match = /^https?:\/\/[^/?#]*([^#]*)/i.exec(target)
  if (!match) return '/\0'
  return match[1]?.startsWith('/') ? match[1] : `/${match[1] ?? ''}`
}

function hostLines(request: IncomingMessage): number {
  // Node keeps the first of two Host lines and drops the other without a word; which one a backend would read is open.
  let lines = 0
  const { rawHeaders } = request
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (name.length === 4 && name.toLowerCase() === 'host') lines++
  }
  return lines
}
