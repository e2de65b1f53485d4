import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { closeGently } from '../linger.ts'
import type { Refusal } from './one-meaning.ts'

/** What is no request by the code of its error, as `node:http` says it by itself. */
const statuses: Readonly<Record<string, number | undefined>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}
/** Answers to lists take tens of kilobytes each, and a single packet can ask for fifteen hundred. */
const unansweredMax = 32
const phrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
}

interface Asking {
  unanswered: number
  /** Answers come in the order of their requests, so this one is the last. */
  newest: ServerResponse
}

/**
 * The end of connections that `node:http` reads: which of them have had their last answer, what is said to those that
 * send something that is none, and that nobody loses it.
 */
export class LastWords {
  /** The last answer has begun. The parser reads on; what it finds behind that is nobody's request. */
  readonly #closing = new WeakSet<Socket>()
  /** They have had their last words, or will. */
  readonly #ending = new WeakSet<Socket>()
  /** Who has asked and is not answered yet. */
  readonly #asking = new Map<Socket, Asking>()
  #leaving = false

  isClosing(socket: Socket): boolean {
    return this.#closing.has(socket)
  }

  /** A request has come, and this will be its answer. */
  came(response: ServerResponse): void {
    const { socket } = response.req
    let asking = this.#asking.get(socket)
    if (!asking) {
      asking = { unanswered: 0, newest: response }
      this.#asking.set(socket, asking)
    }
    asking.unanswered++
    asking.newest = response
    response.once('close', () => this.#answered(socket))
    if (this.#leaving) return this.makeLast(response)
    if (asking.unanswered < unansweredMax) return
    this.makeLast(response)
    // With so much to answer Node reads no more, and would not hear that the client leaves.
    setImmediate(() => {
      if (response.req.complete) readAway(socket)
    })
  }

  /** From now on answers say that they are the last on their connection, those too that were asked for before. */
  leave(): void {
    this.#leaving = true
    for (const { newest } of this.#asking.values()) if (!newest.headersSent) this.makeLast(newest)
  }

  #answered(socket: Socket): void {
    const asking = this.#asking.get(socket)
    if (asking && --asking.unanswered === 0) this.#asking.delete(socket)
  }

  /** The answer that comes next is the last one on its connection. */
  makeLast(response: ServerResponse): void {
    response.shouldKeepAlive = false
    this.#closing.add(response.req.socket)
  }

  /** Something came that is no request. */
  answerNonsense(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET') socket.destroy()
    // What comes behind a last request is nobody's, and the answer to that one closes the connection.
    else if (error.code === 'HPE_CLOSED_CONNECTION') this.#endWith(socket, undefined, undefined)
    else this.#endWith(socket, wordsOf(statuses[error.code ?? ''] ?? 400, ''), undefined)
  }

  /** A tunnel is wanted; it would be closed without a word. */
  answerConnect(socket: Socket): void {
    socket.on('error', ignore)
    this.#endWith(socket, wordsOf(501, ''), undefined)
  }

  /** A request without one meaning: no reader of ours goes on behind it. */
  answerUnclear(
    request: IncomingMessage,
    response: ServerResponse,
    { status, why }: Refusal,
  ): void {
    const words = wordsOf(status, request.method === 'HEAD' ? '' : `${why}\n`)
    this.#endWith(request.socket, words, response)
  }

  /**
   * In the place of a socket's own `destroySoon`, by which `node:http` closes after a last answer: at once, so that
   * whoever still sends would lose that answer.
   */
  closeAfterLastAnswer(socket: Socket): void {
    this.#ending.add(socket)
    this.#closing.add(socket)
    readAway(socket)
    closeGently(socket)
  }

  /**
   * Nothing more is read on this connection. Who asked before is answered, then come the last words, in the place of
   * `own` where that is there. The connection is not reset while the client still sends: it would not hear them.
   */
  #endWith(socket: Socket, words: string | undefined, own: ServerResponse | undefined): void {
    if (this.#ending.has(socket)) return
    this.#ending.add(socket)
    const hasLast = this.#closing.has(socket)
    this.#closing.add(socket)
    if (!socket.writable) {
      socket.destroy()
      return
    }
    readAway(socket)
    whenAnswered(socket, own, () => close(socket, words, hasLast))
  }
}

/** After the answers to all that came whole; at once where the rest of a request will never come. */
function whenAnswered(socket: Socket, own: ServerResponse | undefined, act: () => void): void {
  const first = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage
  if (!first || first === own || !first.req.complete) {
    act()
    return
  }
  first.once('close', () => whenAnswered(socket, own, act))
}

/** `hasLast`: an answer has said that it is the last one. */
function close(socket: Socket, words: string | undefined, hasLast: boolean): void {
  const first = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage
  const begun = first?.headersSent === true && !first.writableEnded
  // Half of an answer can not be followed by another one: then the transfer breaks visibly.
  if (begun && !hasLast) {
    socket.destroy()
    return
  }
  if (!begun && words !== undefined && socket.writable) socket.write(words)
  closeGently(socket)
}

/** The parser gets nothing more of it. */
function readAway(socket: Socket): void {
  socket.removeAllListeners('data').on('data', ignore)
  socket.resume()
}

function wordsOf(status: number, body: string): string {
  const type = body === '' ? '' : `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n`
  return `HTTP/1.1 ${status} ${phrases[status]}\r\n${type}Connection: close\r\n\r\n${body}`
}

function ignore(): void {}
