import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { type ArrivingBody, ClientGone } from '../../proxy/body.ts'
import type { Arrived } from '../arrived.ts'

/** A request that `node:http` has read. */
export class NodeArrived implements Arrived, ArrivingBody {
  readonly #request: IncomingMessage

  constructor(request: IncomingMessage) {
    this.#request = request
  }

  get method(): string {
    return this.#request.method ?? 'GET'
  }

  get target(): string {
    return this.#request.url ?? '/'
  }

  get headers(): IncomingHttpHeaders {
    return this.#request.headers
  }

  get rawHeaders(): readonly string[] {
    return this.#request.rawHeaders
  }

  get peerAddress(): string | undefined {
    return this.#request.socket.remoteAddress
  }

  get body(): ArrivingBody {
    return this
  }

  get declaredBytes(): number | undefined {
    const { 'content-length': length, 'transfer-encoding': encoding } = this.#request.headers
    if (length !== undefined) return Number(length)
    return encoding === undefined ? 0 : undefined
  }

  each(act: (chunk: Buffer) => Promise<void> | undefined): Promise<void> {
    const request = this.#request
    return new Promise((resolve, reject) => {
      let busy: Promise<void> | undefined
      let ended = false
      const fail = (error: unknown) => {
        request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
        reject(error)
      }
      const onData = (chunk: Buffer) => {
        try {
          const wait = act(chunk)
          if (!wait) return
          request.pause()
          busy = wait.then(() => {
            busy = undefined
            if (ended) resolve()
            else request.resume()
          }, fail)
        } catch (error) {
          fail(error)
        }
      }
      const onEnd = () => {
        ended = true
        if (!busy) resolve()
      }
      const onGone = () => {
        if (!ended) fail(new ClientGone('the client left while sending'))
      }
      request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
    })
  }
}
