import type { ServerResponse } from 'node:http'
import type { ClientSide } from '../../proxy/client-side.ts'
import { lingerMs } from '../linger.ts'
import type { LastWords } from './last-words.ts'

/** A client that `node:http` speaks to. */
export class NodeClient implements ClientSide {
  readonly #response: ServerResponse
  readonly #last: Pick<LastWords, 'makeLast'>
  #left = false
  #leftListeners: (() => void)[] = []
  #bytesOut = 0
  #over = false

  constructor(response: ServerResponse, last: Pick<LastWords, 'makeLast'>) {
    this.#response = response
    this.#last = last
    // It may have left while its body was still being put away: `close` is not said twice.
    this.#left = response.destroyed
    response.once('close', () => {
      if (this.#left || (this.#over && response.writableFinished)) return
      this.#left = true
      for (const listener of this.#leftListeners.splice(0)) listener()
    })
    // A reset while we write is the client's leaving, heard by `close`; unheard it would end the process.
    response.on('error', () => {})
  }

  get left(): boolean {
    return this.#left
  }

  get started(): boolean {
    return this.#response.headersSent
  }

  get bytesOut(): number {
    return this.#bytesOut
  }

  onLeft(act: () => void): void {
    if (this.#left) act()
    else this.#leftListeners.push(act)
  }

  head(status: number, rawHeaders: readonly string[]): void {
    if (!this.#response.headersSent && !this.#left)
      this.#response.writeHead(status, rawHeaders as string[])
  }

  write(bytes: Uint8Array): boolean {
    if (this.#left) return true
    this.#bytesOut += bytes.length
    return this.#response.write(bytes)
  }

  onDrain(act: () => void): void {
    this.#response.once('drain', act)
  }

  end(bytes?: Uint8Array): void {
    this.#over = true
    if (this.#left) return
    if (bytes) this.#bytesOut += bytes.length
    this.#response.end(bytes)
  }

  answer(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    this.head(status, rawHeaders)
    const isHead = this.#response.req.method === 'HEAD'
    this.end(isHead || body.length === 0 ? undefined : body)
    this.#response.req.resume()
  }

  answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    const response = this.#response
    const request = response.req
    const hasBody =
      request.headers['content-length'] !== undefined ||
      request.headers['transfer-encoding'] !== undefined
    if (!hasBody || request.complete || request.readableEnded) {
      this.answer(status, rawHeaders, body)
      return
    }
    const end = () => {
      clearTimeout(timer)
      this.end()
    }
    const timer = setTimeout(end, lingerMs)
    timer.unref()
    request.once('end', end).once('close', end)
    request.resume()
    this.#last.makeLast(response)
    this.head(status, rawHeaders)
    // A head without a body would wait for the end.
    if (request.method === 'HEAD' || body.length === 0) response.flushHeaders()
    else this.write(body)
  }

  cut(): void {
    this.#over = true
    this.#response.destroy()
  }
}
