import type { Route } from '../dialects/routes.ts'
import type { HeldBody } from '../proxy/body.ts'
import type { Exchange } from '../proxy/exchange.ts'
import { NotWanted } from '../proxy/queue.ts'
import { mayServe } from '../routing/rules/placement.ts'
import { textBytesMin } from '../split/embed/plan.ts'
import type { PlannedBatch } from '../split/embed/run.ts'
import type { HttpDoors } from './doors.ts'
import type { Visit } from './front.ts'
import { Paced } from './paced.ts'
import { wholeOf } from './reading.ts'

/** Reading a larger body back from its file to look for items costs more than a split could save. */
const batchBytesMax = 64 * 1_048_576

/** Texts to embed that may be worth a second look: there is enough of them, and they can be read. */
export function mayBeSpread(visit: Visit, { path }: Route, { asked }: Exchange): boolean {
  return (
    isSpreadPath(path) &&
    asked.ask.textBytes >= textBytesMin &&
    visit.request.headers['content-encoding'] === undefined
  )
}

const isSpreadPath = (path: string): path is '/api/embed' | '/v1/embeddings' =>
  path === '/api/embed' || path === '/v1/embeddings'

/** A batch of embeddings that is better spread; undefined: it goes the ordinary way, to one backend. */
export async function planEmbedding(
  { path }: Route,
  { asked, rules }: Exchange,
  { embed, bodies, pool }: Pick<HttpDoors, 'embed' | 'bodies' | 'pool'>,
): Promise<(PlannedBatch & Disposable) | undefined> {
  if (!isSpreadPath(path)) return undefined
  const body = await inMemory(asked.body, bodies)
  if (!body) return undefined
  const { id, ask, tenant, priority, labels, work, deadlineMs } = asked
  const splitter = await embed.get()
  const planned = splitter.plan({
    id,
    path,
    body: body.bytes,
    ask,
    tenant,
    priority,
    labels,
    work,
    deadlineMs,
    except: new Set(
      rules && pool.endpoints.filter((each) => !mayServe(rules, each)).map(({ name }) => name),
    ),
  })
  if (planned) return { ...planned, [Symbol.dispose]: () => body[Symbol.dispose]() }
  body[Symbol.dispose]()
  return undefined
}

/** The joined answer, as one server would have given it; resolves with its status. */
export async function serveEmbedding(
  visit: Visit,
  batch: PlannedBatch,
  exchange: Exchange,
  { embed }: Pick<HttpDoors, 'embed'>,
): Promise<number> {
  const { client } = exchange
  const left = new AbortController()
  exchange.onEnd(() => left.abort())
  const splitter = await embed.get()
  const { status, contentType, body, backend, parts } = await splitter.run(batch, left.signal)
  if (status === 499 || client.left) throw new NotWanted()
  const length = body.reduce((sum, piece) => sum + piece.length, 0)
  client.head(status, [
    'Content-Type',
    contentType,
    'Content-Length',
    String(length),
    'X-Request-Id',
    visit.id,
    ...(backend === '' ? [] : ['X-Chasqui-Backend', backend]),
    ...(status === 200 ? ['X-Chasqui-Split', partsSaid(parts)] : []),
    ...visit.headers,
  ])
  const paced = new Paced(client)
  for (const piece of body) await paced.write(piece)
  client.end()
  return status
}

/** `parts=7; den=4; attic=3`: what no field of the answer could say without changing it. */
function partsSaid(parts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(parts)
  const sum = entries.reduce((total, [, count]) => total + count, 0)
  return [`parts=${sum}`, ...entries.map(([name, count]) => `${name}=${count}`)].join('; ')
}

/** A body in a file is read back, charged to the memory budget until it is disposed of. */
async function inMemory(
  body: HeldBody,
  bodies: HttpDoors['bodies'],
): Promise<({ bytes: Buffer } & Disposable) | undefined> {
  if (body.bytes) return { bytes: body.bytes, [Symbol.dispose]() {} }
  if (body.size > batchBytesMax) return undefined
  const share = bodies.memory()
  try {
    share.grow(body.size)
    return { bytes: await wholeOf(body), [Symbol.dispose]: () => share[Symbol.dispose]() }
  } catch {
    // No room to look at it: whole, it needs none.
    share[Symbol.dispose]()
    return undefined
  }
}
