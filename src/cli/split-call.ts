import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import type { DryRun, SplitReport } from '../split/order.ts'
import { exit } from './exit-codes.ts'
import { EventReader, type StreamEvent } from './split-events.ts'
import { failedWithin, refusedBefore, SplitFailure } from './split-failure.ts'
import type { RunEvent } from './split-state.ts'
import { oneLine } from './split-words.ts'

/** The last line of an answer: Ollama's fields, and the report. */
export type LastLine = Readonly<Record<string, unknown>> & { readonly split?: SplitReport }

/** What the proxy says to a request, in order; `last` or `plan` ends it. */
export type Heard =
  | RunEvent
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'last'; readonly line: LastLine }
  | { readonly kind: 'plan'; readonly plan: DryRun }

type Fields = Readonly<Record<string, unknown>>

/** A refusal is a few sentences; what is longer is something else, and its beginning says so. */
const refusalCharsMax = 65_536

/**
 * Asks the proxy at `url` and gives what it says as it comes. The signal ends the connection, which ends everything
 * that runs for it. Throws a SplitFailure.
 */
export async function* askSplit(
  url: string,
  body: Buffer,
  signal: AbortSignal,
): AsyncGenerator<Heard> {
  const response = await post(`${url}/generate`, body, signal).catch((error: Error) => {
    throw unreachable(url, error)
  })
  response.setEncoding('utf8')
  if (response.statusCode !== 200) throw await refusal(url, response)
  const type = response.headers['content-type'] ?? ''
  try {
    if (type.startsWith('text/event-stream')) return yield* eventsIn(response)
    const plan = fieldsOf(await wholeOf(response))
    if (Array.isArray(plan?.['parts']))
      return yield { kind: 'plan', plan: plan as unknown as DryRun }
  } catch (error) {
    throw error instanceof SplitFailure ? error : brokeOff()
  }
  throw noChasqui(url)
}

/**
 * Not `fetch`: it gives up when five minutes pass without a byte, and a part on a slow machine may take longer. A
 * limit there is, and the proxy keeps it.
 */
function post(url: string, body: Buffer, signal: AbortSignal): Promise<IncomingMessage> {
  const request = url.startsWith('https:') ? secureRequest : plainRequest
  return new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      Accept: 'text/event-stream, application/json',
    }
    const sent = request(url, { method: 'POST', headers, signal, agent: false }, resolve)
    sent.on('error', reject)
    sent.end(body)
  })
}

async function* eventsIn(response: IncomingMessage): AsyncGenerator<Heard> {
  const reader = new EventReader()
  for await (const chunk of response as AsyncIterable<string>)
    for (const event of reader.feed(chunk)) {
      const heard = heardIn(event)
      if (!heard) continue
      yield heard
      if (heard.kind === 'last') return
    }
  throw brokeOff()
}

/** Undefined for an event that this version does not know. Throws a SplitFailure for one that says that all is over. */
function heardIn({ name, data }: StreamEvent): Heard | undefined {
  const fields = fieldsOf(data)
  if (!fields) return undefined
  const { error, code, response } = fields
  if (typeof error === 'string')
    throw failedWithin(error, typeof code === 'string' ? code : undefined)
  if (name === 'planned' || name === 'part') return { ...fields, kind: name } as unknown as RunEvent
  if (name !== '') return undefined
  if (fields['done'] === true) return { kind: 'last', line: fields as LastLine }
  return { kind: 'text', text: typeof response === 'string' ? response : '' }
}

async function refusal(url: string, response: IncomingMessage): Promise<SplitFailure> {
  const said = fieldsOf(await wholeOf(response, refusalCharsMax).catch(() => ''))
  if (typeof said?.['detail'] !== 'string') return noChasqui(url)
  return refusedBefore(response.statusCode ?? 0, said as { detail: string })
}

async function wholeOf(
  response: IncomingMessage,
  charsMax = Number.POSITIVE_INFINITY,
): Promise<string> {
  const chunks: string[] = []
  let chars = 0
  for await (const chunk of response as AsyncIterable<string>) {
    chunks.push(chunk)
    chars += chunk.length
    if (chars > charsMax) break
  }
  return chunks.join('')
}

function fieldsOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

const nobodyThere = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
])

function unreachable(url: string, error: Error): SplitFailure {
  // A name with several addresses fails with all of them at once, and then only the sum carries the code.
  const code = 'code' in error ? String(error.code) : ''
  if (!nobodyThere.has(code)) return brokeOff(` (${oneLine(error.message)})`)
  return new SplitFailure(`nothing answers at ${url}; is it running? (chasqui up, or --url)`, {
    exitCode: exit.notReachable,
  })
}

function brokeOff(why = ''): SplitFailure {
  return new SplitFailure(`the proxy broke off before the answer was complete${why}`, {
    exitCode: exit.failed,
    fix: 'See its log, and ask again.',
  })
}

function noChasqui(url: string): SplitFailure {
  return new SplitFailure(`what answers at ${url} is no Chasqui`, { exitCode: exit.failed })
}
