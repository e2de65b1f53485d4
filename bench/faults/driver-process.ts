/**
 * The clients of a row, over raw sockets. A process of its own: it is told to open streams, and asked in the end what
 * became of all of them. Started by driver.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Order } from './driver.ts'
import type { Got } from './judge.ts'
import { questionOf, readBody } from './questions.ts'
import { type OpenStream, openStream, type RawStream } from './raw-stream.ts'

interface Client {
  readonly path: string
  readonly stream: OpenStream
}

const clients: Client[] = []
let opening: Promise<void> = Promise.resolve()
const betweenLooksMs = 10
/** Of a refusal: it is shown as an example. */
const refusalCharsMax = 200

process.on('message', (order: Order) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      process.stderr.write(`${error}\n`)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit(0))

async function obey(order: Order): Promise<object> {
  switch (order.do) {
    case 'open': {
      opening = open(order)
      if (order.untilReads > 0) await begun(order)
      return { open: clients.filter(({ stream }) => !stream.over).length }
    }
    case 'finish':
      return { got: await finish(order.limitMs) }
  }
}

/** By a timetable: spread evenly, whatever becomes of those before. */
async function open(order: Order & { do: 'open' }): Promise<void> {
  const { port, asking, from, count, spreadMs } = order
  const startedMs = performance.now()
  for (let turn = 0; turn < count; turn++) {
    await sleep(Math.max(0, startedMs + (turn / count) * spreadMs - performance.now()))
    const question = questionOf(from + turn, asking)
    clients.push({ path: question.path, stream: openStream(port, question) })
  }
}

async function begun({ untilReads, limitMs }: Order & { do: 'open' }): Promise<void> {
  await opening
  const untilMs = performance.now() + limitMs
  while (performance.now() < untilMs) {
    if (clients.every(({ stream }) => stream.over || stream.reads >= untilReads)) return
    await sleep(betweenLooksMs)
  }
}

async function finish(limitMs: number): Promise<Got[]> {
  await opening
  const limit = setTimeout(() => {
    for (const { stream } of clients) stream.giveUp()
  }, limitMs)
  const raw = await Promise.all(clients.map(({ stream }) => stream.ended))
  clearTimeout(limit)
  return clients.splice(0).map(({ path }, index) => gotOf(path, raw[index]!))
}

function gotOf(path: string, { status, transfer, body, longestGapMs }: RawStream): Got {
  const refused = { text: '', ends: 0, errors: body === '' ? [] : [body.slice(0, refusalCharsMax)] }
  const said = status === 200 ? readBody(path, body) : refused
  return { status, transfer, longestGapMs, ...said }
}
