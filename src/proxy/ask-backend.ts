import type { Clock } from '../core/clock.ts'
import type { Outcome } from '../core/outcome.ts'
import { memberHeader } from '../guard/signing.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { AskBackend } from '../pool/prober.ts'
import { judgeError, judgeRefusal } from './judge.ts'
import type { HeldAnswer, SendOwn } from './loads.ts'
import type { Wire, WireCall, WireRequest } from './wire.ts'

/** A list of ten thousand models is 5 MB; an answer to a question of ours that is larger is a lie. */
const answerBytesMax = 16 * 1_048_576

export interface Question {
  readonly method: string
  readonly path: string
  readonly body?: string | undefined
  /** Undefined: as long as it takes. */
  readonly timeoutMs?: number | undefined
  /** Name, value …: beside what every request of ours carries. */
  readonly headers?: readonly string[]
  /** Hears the answer as it comes, where it is not to be held. */
  readonly onData?: (chunk: Buffer) => void
  /** Calls back what ends the question early: nobody wants the answer any more. */
  readonly onEnd?: (end: () => void) => Disposable
  /** The same, when it has become clear that no answer will come. */
  readonly onGivenUp?: (end: () => void) => Disposable & { heard(): void }
}

/** One request of our own to a backend: its whole answer, or how it failed. Never throws. */
export function askEndpoint(
  wire: Wire,
  clock: Clock,
  hop: string,
  endpoint: Endpoint,
  question: Question,
): Promise<{ outcome: Outcome; answer: HeldAnswer | undefined }> {
  return new Promise((resolve) => {
    const { backend } = endpoint
    let status = 0
    let rawHeaders: readonly string[] = []
    const chunks: Buffer[] = []
    let size = 0
    let over = false
    let timer: Disposable | undefined
    let ended: Disposable | undefined
    let watch: (Disposable & { heard(): void }) | undefined
    let call: WireCall | undefined
    const finish = (outcome: Outcome) => {
      if (over) return
      over = true
      timer?.[Symbol.dispose]()
      ended?.[Symbol.dispose]()
      watch?.[Symbol.dispose]()
      call?.abort()
      const answer = status === 0 ? undefined : { status, rawHeaders, body: Buffer.concat(chunks) }
      resolve({ outcome, answer })
    }
    const { timeoutMs } = question
    ended = question.onEnd?.(() => finish({ kind: 'clientLeft' }))
    if (over) return
    if (timeoutMs !== undefined)
      timer = clock.after(timeoutMs, () =>
        finish({ kind: 'timedOut', limit: 'total', text: `no answer within ${timeoutMs} ms` }),
      )
    watch = question.onGivenUp?.(() =>
      finish({ kind: 'unreachable', text: 'it stopped answering' }),
    )
    call = wire.send(backend, wireRequest(endpoint, question, hop), {
      head(said, raw) {
        status = said
        rawHeaders = raw
      },
      data(chunk) {
        watch?.heard()
        if (status < 300 && question.onData) return question.onData(chunk)
        size += chunk.length
        if (size > answerBytesMax) {
          finish({
            kind: 'refused',
            status: 502,
            why: 'serverFault',
            text: 'its answer is far too large',
          })
          return
        }
        chunks.push(chunk)
      },
      ended() {
        finish(
          status < 300
            ? { kind: 'answered', status }
            : judgeRefusal(status, Buffer.concat(chunks).toString('utf8', 0, 10_000)),
        )
      },
      failed: (error) => finish(judgeError(error, status !== 0)),
    })
    if (over) call?.abort()
  })
}

function wireRequest(endpoint: Endpoint, question: Question, hop: string): WireRequest {
  const { backend } = endpoint
  const headers = ['Host', backend.origin.slice(backend.origin.indexOf('//') + 2)]
  headers.push('Via', `1.1 ${hop}`)
  for (const [name, value] of Object.entries(backend.headers)) headers.push(name, value)
  // An agent lets whom it has joined change what is on its disk.
  if (backend.agent) headers.push(memberHeader, backend.agent.tag)
  if (question.headers) headers.push(...question.headers)
  const body = question.body === undefined ? undefined : Buffer.from(question.body)
  if (body) headers.push('Content-Type', 'application/json', 'Content-Length', String(body.length))
  // What changes something is not sent twice, so it must not meet a connection that is just being closed.
  return {
    method: question.method,
    path: question.path,
    headers,
    body,
    fresh: question.method !== 'GET' && question.method !== 'HEAD',
  }
}

/** The probes' way to ask: parsed JSON, or an error that says in words what went wrong. */
export function probeDoor(wire: Wire, clock: Clock, hop: string): AskBackend {
  return async (endpoint, question) => {
    const { outcome, answer } = await askEndpoint(wire, clock, hop, endpoint, question)
    if (outcome.kind !== 'answered' || !answer) throw new Error(sayWhy(outcome))
    try {
      return JSON.parse(answer.body.toString('utf8')) as unknown
    } catch {
      throw new Error(`its answer to ${question.path} is not JSON`)
    }
  }
}

export function loadDoor(wire: Wire, clock: Clock, hop: string): SendOwn {
  return (endpoint, path, body, onEnd) =>
    askEndpoint(wire, clock, hop, endpoint, {
      method: 'POST',
      path,
      body,
      ...(onEnd ? { onEnd } : {}),
    })
}

function sayWhy(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'refused':
      return `it answered ${outcome.status}`
    case 'answered':
    case 'clientLeft':
    case 'gaveWay':
      return 'no answer'
    default:
      return outcome.text
  }
}
