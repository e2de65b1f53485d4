import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Agent } from 'undici'
import { Failure } from '../core/failure.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { HttpDoors } from './doors.ts'
import { requireAdmin, sendFailure } from './problems.ts'

/**
 * `/backends/:name/*`: straight through to one backend, for operators. The plugin's own retries are off, its errors
 * mapped (it says 500 to a refused connection), and certificates are verified by a dispatcher of ours: the one that
 * the plugin makes does not (CVE-2026-107318, up to reply-from 12.6.5).
 */
export async function pinnedSurface(fastify: FastifyInstance, doors: HttpDoors): Promise<void> {
  const agent = new Agent({
    connect: { rejectUnauthorized: true, timeout: doors.settings.timeouts.connectMs },
    // A pull through here takes as long as it takes.
    headersTimeout: 0,
    bodyTimeout: 0,
    allowH2: false,
  })
  fastify.addHook('onClose', () => agent.destroy())

  const endpointOf = (request: FastifyRequest): Endpoint => {
    const { name } = request.params as { name: string }
    const endpoint = doors.pool.endpoint(name)
    if (!endpoint) throw new Failure('backend_unknown', `there is no backend "${name}"`)
    return endpoint
  }

  await fastify.register(httpProxy, {
    upstream: '',
    prefix: '/backends/:name',
    disableRequestLogging: true,
    // The plugin's types know undici 7; what it uses of a dispatcher is the same in 8.
    undici: agent as never,
    preHandler: (request, _reply, done) => {
      try {
        requireAdmin(request, doors)
        endpointOf(request)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
    replyOptions: {
      retriesCount: 0,
      retryDelay: () => null as never,
      getUpstream: (request) => {
        const { backend } = endpointOf(request as FastifyRequest)
        return backend.origin + backend.pathPrefix
      },
      rewriteRequestHeaders: (request, headers) => {
        const { backend } = endpointOf(request as FastifyRequest)
        return { ...forBackend(headers), ...backend.headers, via: `1.1 ${doors.hop}` }
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
]

type Headers = Record<string, string | string[] | undefined>

function forBackend(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !stopped.includes(name)))
}
