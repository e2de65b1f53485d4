import type { IncomingMessage } from 'node:http'
import type { Clock } from '../core/clock.ts'

// As an ES module it would hand out every name it has, and one of them loads all of Node's fetch: 25 ms of a start.
const { request } = process.getBuiltinModule('node:http')

/** What an agent or a found server says in one answer; more is somebody's attempt at our memory. */
const answerBytesMax = 65_536

interface AddressCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Name, value … */
  readonly headers?: readonly string[]
  readonly body?: string
  readonly timeoutMs: number
}

interface AddressAnswer {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/**
 * One small call to a server that is no backend yet: on a connection of its own, a redirect is an answer like any
 * other, and of what comes back no more than 64 KiB is read. Undefined: there was no whole answer in time.
 */
export function addressDoor(clock: Clock, hop: string) {
  return (origin: string, call: AddressCall): Promise<AddressAnswer | undefined> =>
    new Promise((resolve) => {
      const { method, path, body, timeoutMs } = call
      const sent = request(`${origin}${path}`, {
        method,
        agent: false,
        headers: headersOf(call, hop),
      })
      const timer = clock.after(timeoutMs, () => finish(undefined))
      const finish = (answer: AddressAnswer | undefined) => {
        timer[Symbol.dispose]()
        resolve(answer)
        sent.destroy()
      }
      sent.on('error', () => finish(undefined))
      sent.on('response', (response: IncomingMessage) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > answerBytesMax) finish(undefined)
          else chunks.push(chunk)
        })
        response.on('error', () => finish(undefined))
        response.on('close', () => {
          if (!response.complete) return finish(undefined)
          const { statusCode: status = 0, rawHeaders } = response
          finish({ status, rawHeaders, body: Buffer.concat(chunks) })
        })
      })
      sent.end(body)
    })
}

function headersOf({ headers = [], body }: AddressCall, hop: string): Record<string, string> {
  const all: Record<string, string> = { via: `1.1 ${hop}`, connection: 'close' }
  for (let index = 0; index + 1 < headers.length; index += 2)
    all[headers[index] ?? ''] = headers[index + 1] ?? ''
  if (body === undefined) return all
  return {
    ...all,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  }
}
