import { StringDecoder } from 'node:string_decoder'
import type { Clock } from '../../core/clock.ts'
import type { Outcome } from '../../core/outcome.ts'
import { type ProgressLine, progressMerger } from '../../dialects/progress.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import { askEndpoint, type Question } from '../ask-backend.ts'
import type { Exchange } from '../exchange.ts'
import { headerOf } from '../headers.ts'
import type { HeldAnswer } from '../loads.ts'
import type { Wire } from '../wire.ts'
import { whenGivenUp } from './given-up.ts'

export interface FanOutDoors {
  readonly pool: Pool
  readonly wire: Wire
  readonly clock: Clock
  readonly hop: string
}

/** What one backend made of a call. */
export interface Result {
  readonly endpoint: Endpoint
  readonly outcome: Outcome
  readonly answer: HeldAnswer | undefined
}

/** The same request to several backends at once: what each of them answered. Ends early when the client leaves. */
export function askAll(
  endpoints: readonly Endpoint[],
  exchange: Exchange,
  doors: FanOutDoors,
  body: string | undefined,
): Promise<Result[]> {
  return Promise.all(endpoints.map((endpoint) => askOne(endpoint, exchange, doors, { body })))
}

/** How a progress stream ended at one backend that did not succeed. */
export interface Failed {
  readonly message: string
  /** The status and the Content-Type of a refusal; undefined: it had begun to stream, or said nothing at all. */
  readonly refused: { readonly status: number; readonly type: string } | undefined
}

/**
 * A request whose answer is a stream of progress, to several backends at once, merged into one. `tell` gets every line
 * but the last, which is given back when every backend has finished, with those that failed.
 */
export async function mergeProgress(
  endpoints: readonly Endpoint[],
  exchange: Exchange,
  doors: FanOutDoors,
  body: string,
  tell: (line: ProgressLine) => void,
): Promise<{ last: ProgressLine; failures: ReadonlyMap<string, Failed> }> {
  const merger = progressMerger(
    endpoints.map(({ name }) => name),
    // Who fails does not stop the others; the caller says at the end who did.
    { mandatory: [] },
  )
  const refusals = new Map<string, Failed['refused']>()
  await Promise.all(
    endpoints.map(async (endpoint) => {
      const onData = lineReader((line) => {
        for (const merged of merger.feed(endpoint.name, line)) if (!isLast(merged)) tell(merged)
      })
      const headers = clientHeaders(exchange)
      const { outcome, answer } = await askOne(endpoint, exchange, doors, { body, headers, onData })
      if (outcome.kind === 'refused') {
        const type = headerOf(answer?.rawHeaders ?? [], 'content-type') ?? 'application/json'
        refusals.set(endpoint.name, { status: outcome.status, type })
      }
      // Counts only where no success has come before.
      const message =
        outcome.kind === 'answered' ? 'it ended without success' : sayFailure(outcome, answer)
      for (const merged of merger.fail(endpoint.name, message)) if (!isLast(merged)) tell(merged)
    }),
  )
  const failures = [...merger.failures].map(
    ([name, message]) => [name, { message, refused: refusals.get(name) }] as const,
  )
  return { last: merger.last(), failures: new Map(failures) }
}

async function askOne(
  endpoint: Endpoint,
  exchange: Exchange,
  { pool, wire, clock, hop }: FanOutDoors,
  question: Pick<Question, 'body' | 'headers' | 'onData'>,
): Promise<Result> {
  const { method, path } = exchange.asked
  const asked = await askEndpoint(wire, clock, hop, endpoint, {
    ...question,
    method,
    path,
    onEnd: (end) => exchange.onEnd(end),
    onGivenUp: (end) => whenGivenUp(pool, clock, endpoint, end),
  })
  return { endpoint, ...asked }
}

function isLast(line: ProgressLine): boolean {
  return line['status'] === 'success' || 'error' in line
}

function clientHeaders(exchange: Exchange): string[] {
  const { rawHeaders } = exchange.asked
  const headers: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    if (rawHeaders[index]!.toLowerCase() === 'user-agent')
      headers.push(rawHeaders[index]!, rawHeaders[index + 1]!)
  return headers
}

/** What a backend said in its own error shape, else what happened. */
export function sayFailure(outcome: Outcome, answer: HeldAnswer | undefined): string {
  if (answer) {
    try {
      const said = (JSON.parse(answer.body.toString('utf8')) as { error?: unknown }).error
      if (typeof said === 'string') return said
    } catch {
      // Not JSON: the outcome says enough.
    }
  }
  if (outcome.kind === 'refused') return `it answered ${outcome.status}`
  return 'text' in outcome ? outcome.text : outcome.kind
}

/** A line longer than this is no progress line. */
const lineLengthMax = 1_048_576

/** Bytes as they come → parsed JSON lines; what is no JSON is passed over. */
function lineReader(each: (line: unknown) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder('utf8')
  let held = ''
  return (chunk) => {
    held += decoder.write(chunk)
    const lines = held.split('\n')
    held = lines.pop() ?? ''
    if (held.length > lineLengthMax) held = ''
    for (const line of lines) {
      try {
        each(JSON.parse(line))
      } catch {
        // A backend's nonsense must not end the others' work.
      }
    }
  }
}
