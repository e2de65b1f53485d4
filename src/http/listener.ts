import {
  createServer,
  type IncomingMessage,
  type Server as NodeServer,
  type ServerResponse,
} from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import { declaredLength } from '../proxy/body.ts'
import type { HttpDoors } from './doors.ts'
import { FrontDoor } from './front.ts'
import { pinnedSurface } from './pinned-surface.ts'
import { sendBadRequest, shareErrors } from './problems.ts'
import { requestIdOf } from './request-id.ts'
import { statusSurface } from './status-surface.ts'

/** Idle keep-alive of clients; longer than that of the proxies that people put in front (nginx: 60 s). */
const keepAliveMs = 75_000

export interface Listener {
  /** `http://host:port`, as a person would type it. */
  readonly url: string
  readonly port: number
  /** Takes no more connections, lets idle ones go, and ends when the last answer has. */
  stop(): Promise<void>
  /** Cuts what still runs. */
  cut(): void
}

/** One listener for everything: the hot path in front, Fastify behind it. */
export async function listen(doors: HttpDoors): Promise<Listener> {
  let server: NodeServer | undefined
  const ours = new Set([
    'queue-status',
    'livez',
    'readyz',
    'health',
    'metrics',
    'ui',
    'api/workers',
    'backends',
  ])
  const front = new FrontDoor(doors, ours)
  const pinned = pinnedSurface(doors)
  const app: FastifyInstance = fastify({
    logger: false,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    bodyLimit: doors.settings.limits.bodyBytesMax,
    frameworkErrors: sendBadRequest,
    serverFactory: (behind) => {
      server = createServer(
        {
          noDelay: true,
          keepAlive: true,
          keepAliveTimeout: keepAliveMs,
          headersTimeout: doors.settings.limits.headMsMax,
          // An upload of many gigabytes is lawful; what a slow sender can hold is bounded by the body budget.
          requestTimeout: 0,
          connectionsCheckingInterval: 1_000,
        },
        (request, response) => {
          if (front.handle(request, response)) return
          if (request.url?.startsWith('/backends/')) pinned.handle(request, response)
          else behind(request, response)
        },
      )
      server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
        // Who asks first is told before it sends: that is what the field is for.
        const { bodyBytesMax } = doors.settings.limits
        const isUpload = request.url?.startsWith('/api/blobs/')
        if (isUpload || declaredLength(request) <= bodyBytesMax) response.writeContinue()
        server?.emit('request', request, response)
      })
      return server
    },
  })
  shareErrors(app, doors)
  await statusSurface(app, doors)

  const { host, port } = doors.settings.listen
  await app.listen({ host, port })
  const address = server?.address()
  const boundPort = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${urlHost(host)}:${boundPort}`,
    port: boundPort,
    async stop() {
      // fastify #7044: a connection that turns idle after close() began is kept for the whole keep-alive time.
      server?.on('request', (_request, response: ServerResponse) => {
        response.once('finish', () => server?.closeIdleConnections())
      })
      const sweep = setInterval(() => server?.closeIdleConnections(), 100)
      try {
        await app.close()
        await pinned.close()
      } finally {
        clearInterval(sweep)
      }
    },
    cut() {
      server?.closeAllConnections()
    },
  }
}

/** Where a listener on every address can be called on this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
