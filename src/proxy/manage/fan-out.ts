import { StringDecoder } from 'node:string_decoder'
import type { Clock } from '../../core/clock.ts'
import type { Outcome } from '../../core/outcome.ts'
import { type ProgressLine, progressMerger } from '../../dialects/progress.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import { askEndpoint } from '../ask-backend.ts'
import type { Exchange } from '../exchange.ts'
import type { HeldAnswer } from '../loads.ts'
import type { Wire } from '../wire.ts'

export interface FanOutDoors {
  readonly wire: Wire
  readonly clock: Clock
  readonly hop: string
}

/** The same request to several backends at once: what each of them answered. Ends early when the client leaves. */
export function askAll(
  endpoints: readonly Endpoint[],
  exchange: Exchange,
  doors: FanOutDoors,
): Promise<{ endpoint: Endpoint; outcome: Outcome; answer: HeldAnswer | undefined }[]> {
  const { method, path, body } = exchange.asked
  return Promise.all(
    endpoints.map(async (endpoint) => ({
      endpoint,
      ...(await askEndpoint(doors.wire, doors.clock, doors.hop, endpoint, {
        method,
        path,
        body: body.bytes?.toString('utf8'),
        onEnd: (end) => exchange.onEnd(end),
      })),
    })),
  )
}

/**
 * A request whose answer is a stream of progress, to several backends at once, merged into one. `tell` gets every line
 * but the last, which is given back when every backend has finished.
 */
export async function mergeProgress(
  endpoints: readonly Endpoint[],
  exchange: Exchange,
  doors: FanOutDoors,
  body: string,
  tell: (line: ProgressLine) => void,
): Promise<{ last: ProgressLine; failures: ReadonlyMap<string, string> }> {
  const merger = progressMerger(
    endpoints.map(({ name }) => name),
    // Who fails does not stop the others; the caller says at the end who did.
    { mandatory: [] },
  )
  await Promise.all(
    endpoints.map(async (endpoint) => {
      const lines = lineReader((line) => {
        for (const merged of merger.feed(endpoint.name, line)) if (!isLast(merged)) tell(merged)
      })
      const { outcome, answer } = await askEndpoint(doors.wire, doors.clock, doors.hop, endpoint, {
        method: exchange.asked.method,
        path: exchange.asked.path,
        body,
        headers: clientHeaders(exchange),
        onData: lines,
        onEnd: (end) => exchange.onEnd(end),
      })
      if (outcome.kind === 'answered') {
        merger.fail(endpoint.name, 'it ended without success') // counts only if it did
        return
      }
      merger.fail(endpoint.name, sayFailure(outcome, answer))
    }),
  )
  return { last: merger.last(), failures: merger.failures }
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
