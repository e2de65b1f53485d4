import type { IncomingMessage, Server as NodeServer, ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import type { Preparable } from '../core/late.ts'
import type { HttpDoors } from './doors.ts'
import { FrontDoor } from './front.ts'
import { lateApp } from './late-app.ts'
import { NetDoor } from './net-door/net-door.ts'
import { isUsual } from './net-door/usual.ts'
import { NodeArrived } from './node-door/arrived.ts'
import { NodeClient } from './node-door/client.ts'
import { LastWords } from './node-door/last-words.ts'
import { giveOneMeaning } from './node-door/one-meaning.ts'
import { Unread } from './unread.ts'

// As an ES module it would hand out every name it has, and one of them loads all of Node's fetch: 25 ms of a start.
const { createServer } = process.getBuiltinModule('node:http')

/** Idle keep-alive of clients; longer than that of the proxies that people put in front (nginx: 60 s). */
const keepAliveMs = 75_000
/** While it stops: how often connections that have turned idle are looked for. */
const sweepEveryMs = 50

const none = ['Content-Length', '0']
const nothing = Buffer.alloc(0)

export interface Listener {
  /** `http://host:port`, as a person would type it. */
  readonly url: string
  readonly port: number
  /** What is made late, so that it can be made before somebody waits for it. */
  readonly late: readonly Preparable[]
  /** The listening socket of the system, for a process that takes over. */
  readonly handle: unknown
  /** After a reload. */
  reconfigure(): void
  /** Answers say from now on that they are the last on their connection. */
  leave(): void
  /**
   * Takes no more connections and ends when the last answer has. Connections that stay idle so long are closed: who
   * uses one in the meantime is answered on it, and told that this was the last time.
   */
  stop(idleMs: number): Promise<void>
  /** Cuts what still runs. */
  cut(): void
}

/**
 * One listener for everything. Plain inference comes in by the net door, everything else by `node:http`; the hot path
 * stands in front of both, and behind it Fastify for what is not in a hurry.
 */
export async function listen(doors: HttpDoors, inherited?: { fd: number }): Promise<Listener> {
  const front = new FrontDoor(doors, ours)
  const status = lateApp(doors, async (app) => {
    const { statusSurface } = await import('./status-surface.ts')
    await statusSurface(app, doors)
  })
  const pinned = lateApp(doors, async (app) => {
    const { pinnedSurface } = await import('./pinned-surface.ts')
    await pinnedSurface(app, doors)
  })
  const last = new LastWords()
  /** False: it has been answered, or comes behind the last request of its connection. */
  const isUnderstood = (request: IncomingMessage, response: ServerResponse): boolean => {
    if (last.isClosing(request.socket)) return false
    const refusal = giveOneMeaning(request)
    if (refusal) {
      last.answerUnclear(request, response, refusal)
      return false
    }
    // The parser loses what comes in one piece behind a request for another protocol, and reads on behind that.
    last.came(response)
    if (wantsOtherProtocol(request)) last.makeLast(response)
    return true
  }
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const headers = front.handle(new NodeArrived(request), new NodeClient(response, last))
    if (!headers) return
    for (let index = 0; index < headers.length; index += 2)
      response.setHeader(headers[index]!, headers[index + 1]!)
    if (request.url?.startsWith('/backends/')) pinned.handle(request, response)
    else status.handle(request, response)
  }
  const server = createServer(
    {
      noDelay: true,
      keepAlive: true,
      keepAliveTimeout: keepAliveMs,
      headersTimeout: doors.settings.limits.headMsMax,
      // An upload of many gigabytes is lawful; what a slow sender can hold is bounded by the body budget.
      requestTimeout: 0,
      connectionsCheckingInterval: 1_000,
      // Looked for with everything else: answered by the server itself, what follows would be read on.
      requireHostHeader: false,
    },
    (request, response) => {
      if (isUnderstood(request, response)) handle(request, response)
    },
  )
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!isUnderstood(request, response)) return
    // Who asks first is told before it sends: that is what the field is for.
    const { bodyBytesMax } = doors.settings.limits
    const isUpload = request.url?.startsWith('/api/blobs/')
    const { declaredBytes = 0 } = new NodeArrived(request)
    if (isUpload || declaredBytes <= bodyBytesMax) inviteBody(response, last)
    else last.makeLast(response)
    handle(request, response)
  })
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    if (isUnderstood(request, response))
      new NodeClient(response, last).answerEarly(417, none, nothing)
  })
  server.on('clientError', (error, socket) => last.answerNonsense(error, socket as Socket))
  server.on('connect', (_request, socket) => last.answerConnect(socket as Socket))

  /** Those that `node:http` has. */
  const atNode = new Set<Socket>()
  const [toNode] = server.listeners('connection')
  server.removeAllListeners('connection')
  const net = new NetDoor(
    {
      get headMsMax() {
        return doors.settings.limits.headMsMax
      },
      keepAliveMs,
    },
    {
      clock: doors.clock,
      loopTurn: doors.loopTurn,
      wants: (head) => isUsual(head, doors.settings.limits.bodyInMemoryBytesMax),
      serve: (turn) => front.handle(turn, turn),
      handOver(socket, bytes) {
        atNode.add(socket)
        socket.once('close', () => atNode.delete(socket))
        socket.pause()
        socket.unshift(bytes)
        toNode!.call(server, socket)
        const closeAfterLastAnswer = () => last.closeAfterLastAnswer(socket)
        socket.destroySoon = closeAfterLastAnswer
        socket.resume()
      },
    },
  )
  server.on('connection', (socket: Socket) => net.take(socket))
  const unread = new Unread(doors.clock, function* () {
    yield* net.sockets()
    yield* atNode
  })

  const leave = () => {
    last.leave()
    net.leave()
  }

  const { host, port } = doors.settings.listen
  await bound(server, inherited ?? { host, port })
  const address = server.address()
  const boundPort = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${urlHost(host)}:${boundPort}`,
    port: boundPort,
    handle: (server as NetServer & { _handle?: unknown })._handle,
    late: [status, ...front.late],
    reconfigure() {
      server.headersTimeout = doors.settings.limits.headMsMax
    },
    leave,
    async stop(idleMs) {
      leave()
      const closeIdle = () => {
        // It takes for idle whoever was answered, also one who has not got all of the answer yet.
        if (![...atNode].some(({ writableLength }) => writableLength > 0))
          server.closeIdleConnections()
        net.closeIdle()
      }
      // What stands in the system's queue is taken first: closing the socket would reset it.
      await nextTurn()
      // Not that of node:http, which closes idle connections at once.
      const closed = new Promise<void>((resolve) => {
        NetServer.prototype.close.call(server, () => resolve())
      })
      const closeFromMs = doors.clock.now() + idleMs
      if (idleMs === 0) closeIdle()
      const sweep = setInterval(() => {
        // Behind the reading of a turn: a request that has come makes its connection a busy one.
        if (doors.clock.now() >= closeFromMs) setImmediate(closeIdle)
      }, sweepEveryMs)
      await closed
      clearInterval(sweep)
      unread[Symbol.dispose]()
      server.close() // ends what node:http still does for open connections
      await Promise.all([status.close(), pinned.close()])
    },
    cut() {
      server.closeAllConnections()
      net.cut()
    },
  }
}

function wantsOtherProtocol({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && /upgrade/i.test(headers.connection ?? '')
}

/**
 * Behind the answers to who asked before: written earlier it would come to stand in the middle of its own answer. An
 * answer without it is the last on its connection, since nobody knows whether the body comes; that must be known before
 * what comes behind is read.
 */
function inviteBody(response: ServerResponse, last: LastWords): void {
  if (response.socket) {
    response.writeContinue()
    return
  }
  last.makeLast(response)
  response.once('socket', () => {
    if (!response.headersSent) response.writeContinue()
  })
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
  'api/distributed',
  'chasqui',
  'backends',
])

function bound(
  server: NodeServer,
  where: { host: string; port: number } | { fd: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

const nextTurn = () => new Promise<void>((resolve) => void setImmediate(resolve))

/** Where a listener on every address can be called on this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
