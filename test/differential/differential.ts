import fc from 'fast-check'
import { until } from '../help/until.ts'
import { type Conversation, converse } from './conversation.ts'
import { echoOf, judge } from './judge.ts'
import { startRecordedProxy } from './recorded-proxy.ts'
import { type Received, whole } from './recording-backend.ts'
import { type Stream, streams } from './streams.ts'

export interface Report {
  readonly runs: number
  /** Requests that a backend was asked, and answers that were errors. */
  readonly forwarded: number
  readonly refused: number
  /** Connections on which a client was told of an error. */
  readonly streamsRefused: number
  /** Every fault in words, with what is needed to see it again. */
  readonly faults: readonly string[]
}

export interface Options {
  readonly runs: number
  readonly seed: number
  /** Streams under way at once. */
  readonly lanes?: number
}

/** One seed for so many streams: a fault can be looked for again without all that came before. */
const runsPerSeed = 20
const faultsMax = 3

/** Sends streams that chance has made up through a proxy, and holds what a backend saw against what was sent. */
export async function runDifferential(options: Options): Promise<Report> {
  const { runs, seed, lanes = 12 } = options
  const underWay = new Map<string, Received[]>()
  const finished = new Map<string, { conversation: Conversation; got: Received[] }>()
  const faults: string[] = []
  const noted = (fault: string) => void (faults.length < 20 && faults.push(fault))

  /** It was on its way when its client heard of an error, or it was never sent. */
  const late = (id: string, request: Received) => {
    const { conversation, got } = finished.get(id)!
    got.push(request)
    const wrong = judge(conversation, got)
    if (wrong.length > 0) noted(sayFault(wrong, conversation, got))
  }

  const heard = (request: Received) => {
    const text = request.raw.toString('latin1')
    // One of them may have been spoilt.
    const ids = [...text.matchAll(/q7z([0-9a-z]{5})/g)].map(([, id]) => id!)
    const id = ids.find((each) => underWay.has(each)) ?? ids.find((each) => finished.has(each))
    if (id === undefined) noted(`from nowhere: ${JSON.stringify(text)}`)
    else if (underWay.has(id)) underWay.get(id)!.push(request)
    else late(id, request)
  }
  await using proxy = await startRecordedProxy({
    answer(request) {
      heard(request)
      // Kept by who asked for it.
      proxy.backend.received.length = 0
      const text = echoOf(request.target, request.body.toString('latin1'))
      return whole({ model: 'llama3.2', done: true, message: { content: text }, echo: text })
    },
  })
  const { app, backend } = proxy
  const counts = { runs: 0, forwarded: 0, refused: 0, streamsRefused: 0 }
  let ids = 0

  const one = async (stream: Stream): Promise<void> => {
    const id = (ids++).toString(36).padStart(5, '0')
    const got: Received[] = []
    underWay.set(id, got)
    const conversation = await converse(app.port, stream, id)
    underWay.delete(id)
    finished.set(id, { conversation, got })
    count(conversation, got.length)
    const wrong = [...judge(conversation, got), ...backend.faults.splice(0)]
    if (wrong.length > 0) throw new Error(sayFault(wrong, conversation, got))
  }
  const count = ({ answers }: Conversation, seen: number) => {
    counts.runs++
    counts.forwarded += seen
    const errors = answers.filter(({ status }) => status >= 400).length
    counts.refused += errors
    if (errors > 0) counts.streamsRefused++
  }

  const property = fc.asyncProperty(streams, one)
  let next = 0
  const lane = async () => {
    for (;;) {
      const piece = next++
      if (piece * runsPerSeed >= runs || faults.length >= faultsMax) return
      const numRuns = Math.min(runsPerSeed, runs - piece * runsPerSeed)
      const details = await fc.check(property, { seed: seed + piece, numRuns })
      if (details.failed) noted(sayFailed(details))
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  // What was begun for who has left may still arrive.
  await until(() => app.pool.endpoints.every(({ inFlight }) => inFlight === 0))
  return { ...counts, faults }
}

function sayFailed(details: fc.RunDetails<[Stream]>): string {
  const { seed, counterexamplePath, counterexample, errorInstance } = details
  return [
    `seed ${seed}, path ${counterexamplePath}, after ${details.numShrinks} steps of shrinking:`,
    JSON.stringify(counterexample?.[0], undefined, 2),
    errorInstance instanceof Error ? errorInstance.message : String(errorInstance),
  ].join('\n')
}

function sayFault(
  wrong: readonly string[],
  { sent, answers, rest, closed }: Conversation,
  got: readonly Received[],
): string {
  const list = (title: string, rows: readonly string[]) => rows.map((row) => `${title}: ${row}`)
  return [
    ...list('fault', wrong),
    ...list('sent', [JSON.stringify(sent)]),
    ...list(
      'answer',
      answers.map(({ status, body }) => `${status} ${JSON.stringify(body.slice(0, 200))}`),
    ),
    ...list('rest', rest === '' ? [] : [JSON.stringify(rest.slice(0, 200))]),
    ...list('the backend saw', [...got.map(({ raw }) => JSON.stringify(raw.toString('latin1')))]),
    closed ? 'closed by the proxy' : 'left open by the proxy',
  ].join('\n')
}
