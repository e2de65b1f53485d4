import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Agent, Dispatcher } from 'undici'
import type { Backend } from '../core/backend.ts'
import { Failure } from '../core/failure.ts'
import { memberHeader } from '../guard/signing.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { HttpDoors } from './doors.ts'
import { requireAdmin, sendFailure } from './problems.ts'

/**
 * `/backends/:name/*`: straight through to one backend, for operators. The plugin's own retries are off, its errors
 * mapped (it says 500 to a refused connection), and certificates are verified by a dispatcher of ours: the one that
 * the plugin makes does not (CVE-2026-107318, up to reply-from 12.6.5).
 */
export async function pinnedSurface(app: FastifyInstance, doors: HttpDoors): Promise<void> {
  // The plugin brings a second undici along; almost nobody calls, and every start would wait for both.
  const [{ default: httpProxy }, undici] = await Promise.all([
    import('@fastify/http-proxy'),
    import('undici'),
  ])
  const agentFor = (insecure: boolean) =>
    new undici.Agent({
      connect: {
        rejectUnauthorized: !insecure,
        timeout: doors.settings.timeouts.connectMs,
        lookup: doors.lookup,
      },
      // A pull through here takes as long as it takes.
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
    })
  const agents = { checking: agentFor(false), trusting: agentFor(true) }
  app.addHook('onClose', async () => {
    await Promise.all([agents.checking.destroy(), agents.trusting.destroy()])
  })

  const endpointOf = (request: FastifyRequest): Endpoint => {
    const { name } = request.params as { name: string }
    const endpoint = doors.pool.endpoint(name)
    if (!endpoint) throw new Failure('backend_unknown', `there is no backend "${name}"`)
    return endpoint
  }

  const leaves = new Leaves()
  await app.register(httpProxy, {
    upstream: '',
    prefix: '/backends/:name',
    disableRequestLogging: true,
    // A backend may live below a path; the plugin takes nothing but the origin from getUpstream.
    preRewrite(url, params) {
      const { name } = params as { name: string }
      const { pathPrefix = '' } = doors.pool.endpoint(name)?.backend ?? {}
      return url.replace(/^\/backends\/[^/?]+/, (own) => own + pathPrefix)
    },
    // The plugin's types know undici 7; what it uses of a dispatcher is the same in 8.
    undici: leaves.dispatcher(agents) as never,
    preHandler: (request, reply, done) => {
      try {
        requireAdmin(request, doors)
        endpointOf(request)
        leaves.watch(request, reply)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
    replyOptions: {
      retriesCount: 0,
      retryDelay: () => null as never,
      getUpstream: (request) => {
        return endpointOf(request as FastifyRequest).backend.origin
      },
      rewriteRequestHeaders: (request, headers) => {
        const { backend } = endpointOf(request as FastifyRequest)
        const member = backend.agent ? { [memberHeader]: backend.agent.tag } : {}
        const own = { ...backend.headers, ...member, via: `1.1 ${doors.hop}` }
        return {
          ...forBackend(headers),
          ...own,
          ...leaves.mark(request as FastifyRequest, backend),
        }
      },
      onError: (reply, { error }) => {
        const cause = (error as { cause?: { code?: string } }).cause
        const failure =
          cause?.code === 'UND_ERR_CONNECT_TIMEOUT'
            ? new Failure('upstream_timeout', 'the backend took no connection in time')
            : new Failure('upstream_failed', 'the backend could not be reached')
        sendFailure(reply as unknown as FastifyReply, failure)
      },
    },
  })
}

const markName = 'x-chasqui-leave'

/**
 * The plugin does not hear of a client that leaves before the answer begins, and the backend would work on for nobody.
 * So each request carries a mark as far as our dispatcher, which knows by it whose leaving ends the call, and whether
 * the backend's certificate is looked at.
 */
class Leaves {
  readonly #signals = new WeakMap<FastifyRequest, AbortSignal>()
  readonly #marked = new Map<string, { signal: AbortSignal; insecure: boolean }>()
  #count = 0

  watch(request: FastifyRequest, reply: FastifyReply): void {
    const leave = new AbortController()
    this.#signals.set(request, leave.signal)
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) leave.abort()
    })
  }

  mark(request: FastifyRequest, { insecure }: Backend): Headers {
    const signal = this.#signals.get(request)
    if (!signal) return {}
    const mark = String(++this.#count)
    this.#marked.set(mark, { signal, insecure })
    return { [markName]: mark }
  }

  dispatcher(agents: { checking: Agent; trusting: Agent }): Pick<Agent, 'request'> {
    const send = (options: Dispatcher.RequestOptions, done: RequestDone) => {
      const { [markName]: mark = '', ...headers } = options.headers as Record<string, string>
      const { signal = null, insecure = false } = this.#marked.get(mark) ?? {}
      this.#marked.delete(mark)
      const agent = insecure ? agents.trusting : agents.checking
      agent.request({ ...options, headers, signal }, done)
    }
    return { request: send as Agent['request'] }
  }
}

type RequestDone = (error: Error | null, data: Dispatcher.ResponseData) => void

/** What the plugin would pass on although it belongs to the client's connection, or to us. */
const stopped = [
  'authorization',
  'x-chasqui-admin-token',
  'proxy-authorization',
  'proxy-connection',
  'origin',
  'te',
  'keep-alive',
  'expect',
  'upgrade',
  'transfer-encoding',
  'cookie',
  'x-chasqui-leave',
]

type Headers = Record<string, string | string[] | undefined>

function forBackend(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !stopped.includes(name)))
}
