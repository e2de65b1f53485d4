import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http'

/** A request whose answer is watched as it comes, and that can be left at any moment. */
export interface OpenCall {
  readonly request: ClientRequest
  /** Rejects when the connection ends before there is a head. */
  readonly head: Promise<{ status: number; headers: IncomingHttpHeaders }>
  /** `cut`: the transfer broke off, as HTTP goes. */
  readonly ended: Promise<'clean' | 'cut'>
  text(): string
  /** Whole lines so far. */
  lines(): string[]
  leave(): void
}

export interface CallOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON; absent: the caller writes to `request` itself. */
  readonly body?: object | string | Uint8Array
}

export function openCall(url: string, options: CallOptions = {}): OpenCall {
  const call = request(url, {
    method: options.method ?? 'POST',
    headers: { 'content-type': 'application/json', ...options.headers },
    agent: false,
  })
  let text = ''
  const head = new Promise<{ status: number; headers: IncomingHttpHeaders }>((resolve, reject) => {
    call.on('response', ({ statusCode = 0, headers }) => resolve({ status: statusCode, headers }))
    call.on('error', reject)
    call.on('close', () => reject(new Error('closed before the head')))
  })
  head.catch(() => {})
  const ended = new Promise<'clean' | 'cut'>((resolve) => {
    call.on('response', (answer) => {
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk
      })
      answer.on('error', () => resolve('cut'))
      answer.on('close', () => resolve(answer.complete ? 'clean' : 'cut'))
    })
    call.on('error', () => resolve('cut'))
  })
  const { body } = options
  if (body !== undefined)
    call.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
  return {
    request: call,
    head,
    ended,
    text: () => text,
    lines: () => text.split('\n').slice(0, -1),
    leave: () => call.destroy(),
  }
}

export interface WholeAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly lines: readonly string[]
  readonly ended: 'clean' | 'cut'
  readonly tookMs: number
}

/** The same, waited for. */
export async function wholeCall(url: string, options: CallOptions): Promise<WholeAnswer> {
  const startedMs = performance.now()
  const call = openCall(url, options)
  const { status, headers } = await call.head
  const ended = await call.ended
  const tookMs = performance.now() - startedMs
  return { status, headers, ended, text: call.text(), lines: call.lines(), tookMs }
}
