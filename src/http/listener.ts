import {
  createServer,
  type IncomingMessage,
  type Server as NodeServer,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { findRoute } from '../dialects/routes.ts'
import type { HttpDoors } from './doors.ts'
import { FrontDoor } from './front.ts'
import { lateApp } from './late-app.ts'
import { NetDoor } from './net-door/net-door.ts'
import type { RequestHead } from './net-door/request-head.ts'
import { NodeArrived } from './node-door/arrived.ts'
import { NodeClient } from './node-door/client.ts'

/** Idle keep-alive of clients; longer than that of the proxies that people put in front (nginx: 60 s). */
const keepAliveMs = 75_000

export interface Listener {
  /** `http://host:port`, as a person would type it. */
  readonly url: string
  readonly port: number
  /** Makes what is made late, so that the first who asks does not wait for it. */
  prepare(): void
  /** Takes no more connections, lets idle ones go, and ends when the last answer has. */
  stop(): Promise<void>
  /** Cuts what still runs. */
  cut(): void
}

/**
 * One listener for everything. Plain inference comes in by the net door, everything else by `node:http`; the hot path
 * stands in front of both, and behind it Fastify for what is not in a hurry.
 */
export async function listen(doors: HttpDoors): Promise<Listener> {
  const front = new FrontDoor(doors, ours)
  const status = lateApp(doors, async (app) => {
    const { statusSurface } = await import('./status-surface.ts')
    await statusSurface(app, doors)
  })
  const pinned = lateApp(doors, async (app) => {
    const { pinnedSurface } = await import('./pinned-surface.ts')
    await pinnedSurface(app, doors)
  })
  const server = createServer(
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
      const headers = front.handle(new NodeArrived(request), new NodeClient(response))
      if (!headers) return
      for (let index = 0; index < headers.length; index += 2)
        response.setHeader(headers[index]!, headers[index + 1]!)
      if (request.url?.startsWith('/backends/')) pinned.handle(request, response)
      else status.handle(request, response)
    },
  )
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // Who asks first is told before it sends: that is what the field is for.
    const { bodyBytesMax } = doors.settings.limits
    const isUpload = request.url?.startsWith('/api/blobs/')
    const { declaredBytes = 0 } = new NodeArrived(request)
    if (isUpload || declaredBytes <= bodyBytesMax) response.writeContinue()
    server.emit('request', request, response)
  })

  const [toNode] = server.listeners('connection')
  server.removeAllListeners('connection')
  const net = new NetDoor(
    { headMsMax: doors.settings.limits.headMsMax, keepAliveMs },
    {
      clock: doors.clock,
      wants: (head) => isHot(head, doors.settings.limits.bodyInMemoryBytesMax),
      serve: (turn) => front.handle(turn, turn),
      handOver(socket, bytes) {
        socket.pause()
        socket.unshift(bytes)
        toNode!.call(server, socket)
        socket.resume()
      },
    },
  )
  server.on('connection', (socket: Socket) => net.take(socket))

  const { host, port } = doors.settings.listen
  await bound(server, host, port)
  const address = server.address()
  const boundPort = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${urlHost(host)}:${boundPort}`,
    port: boundPort,
    prepare: () => status.prepare(),
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      // A connection that turns idle after close() began would be kept for the whole keep-alive time.
      server.on('request', (_request, response: ServerResponse) => {
        response.once('finish', () => server.closeIdleConnections())
      })
      const sweep = setInterval(() => server.closeIdleConnections(), 100)
      server.closeIdleConnections()
      net.stop()
      await closed
      clearInterval(sweep)
      await Promise.all([status.close(), pinned.close()])
    },
    cut() {
      server.closeAllConnections()
      net.cut()
    },
  }
}

/** What comes all the time: inference, its body in memory. */
function isHot({ method, target, bodyBytes }: RequestHead, bodyBytesMax: number): boolean {
  if (method !== 'POST' || bodyBytes === 0 || bodyBytes > bodyBytesMax) return false
  const mark = target.indexOf('?')
  const found = findRoute(method, mark < 0 ? target : target.slice(0, mark))
  return found.kind === 'route' && found.route.inference && found.route.body === 'json'
}

/** First segments of paths that Fastify serves; behind /api, second ones. */
const ours: ReadonlySet<string> = new Set([
  'queue-status',
  'livez',
  'readyz',
  'health',
  'metrics',
  'ui',
  'api/workers',
  'backends',
])

function bound(server: NodeServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Where a listener on every address can be called on this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
