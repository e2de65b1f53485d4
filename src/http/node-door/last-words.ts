import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { closeGently } from '../linger.ts'
import { isClosing, markClosing } from './closing.ts'
import type { Refusal } from './one-meaning.ts'

/** What is no request by the code of its error, as `node:http` says it by itself. */
const statuses: Readonly<Record<string, number | undefined>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}
const phrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
}

/** Connections that have had their last words, or will. */
const ending = new WeakSet<Socket>()

/** Something came that is no request. */
export function answerNonsense(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET') socket.destroy()
  // What comes behind a last request is nobody's, and the answer to that one closes the connection.
  else if (error.code === 'HPE_CLOSED_CONNECTION') endWith(socket, undefined, undefined)
  else endWith(socket, wordsOf(statuses[error.code ?? ''] ?? 400, ''), undefined)
}

/** A tunnel is wanted; it would be closed without a word. */
export function answerConnect(_request: IncomingMessage, socket: Socket): void {
  socket.on('error', ignore)
  endWith(socket, wordsOf(501, ''), undefined)
}

/** A request without one meaning: no reader of ours goes on behind it. */
export function answerUnclear(
  request: IncomingMessage,
  response: ServerResponse,
  { status, why }: Refusal,
): void {
  endWith(request.socket, wordsOf(status, request.method === 'HEAD' ? '' : `${why}\n`), response)
}

/**
 * Nothing more is read on this connection. Who asked before is answered, then come the last words, in the place of
 * `own` where that is there. The connection is not reset while the client still sends: it would not hear them.
 */
function endWith(socket: Socket, words: string | undefined, own: ServerResponse | undefined): void {
  if (ending.has(socket)) return
  ending.add(socket)
  const hasLast = isClosing(socket)
  markClosing(socket)
  if (!socket.writable) {
    socket.destroy()
    return
  }
  readAway(socket)
  whenAnswered(socket, own, () => close(socket, words, hasLast))
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

/**
 * In the place of a socket's own `destroySoon`, by which `node:http` closes after a last answer: at once, so that
 * whoever still sends would lose that answer.
 */
export function closeAfterLastAnswer(this: Socket): void {
  ending.add(this)
  markClosing(this)
  readAway(this)
  closeGently(this)
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
