import { createHash } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { Failure } from '../../core/failure.ts'
import type { Outcome } from '../../core/outcome.ts'
import { memberHeader } from '../../guard/signing.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import { type ArrivingBody, ClientGone } from '../body.ts'
import type { Exchange } from '../exchange.ts'
import { judgeError } from '../judge.ts'
import type { FanOutDoors } from './fan-out.ts'
import { whenGivenUp } from './given-up.ts'

/** Digests remembered; beyond that the oldest is asked for again. */
const blobsMax = 10_000

/** A backend says in one line how an upload went; an answer that is longer than this is a lie. */
const answerBytesMax = 1_048_576

/** Which backends hold which blobs, as far as uploads through this proxy told. */
export class BlobMap {
  readonly #holders = new Map<string, Set<string>>()

  add(digest: string, backend: string): void {
    const holders = this.#holders.get(digest) ?? new Set()
    holders.add(backend)
    this.#holders.delete(digest)
    this.#holders.set(digest, holders)
    if (this.#holders.size > blobsMax) {
      const [oldest] = this.#holders.keys()
      if (oldest !== undefined) this.#holders.delete(oldest)
    }
  }

  holders(digest: string): ReadonlySet<string> | undefined {
    return this.#holders.get(digest)
  }
}

export interface Upload {
  readonly endpoint: Endpoint
  readonly outcome: Outcome
  readonly text: string
}

/**
 * One upload, to every target at once, as fast as the slowest reads: gigabytes that are never held. A target that
 * answers early has the blob already and takes no more; when none is left that reads, the rest is read and dropped.
 * Ends where it stands as soon as nobody wants it any more: a backend that does not answer would hold it for ever.
 */
export async function spreadBlob(
  doors: FanOutDoors,
  targets: readonly Endpoint[],
  exchange: Exchange,
  digest: string,
  arriving: ArrivingBody,
): Promise<Upload[]> {
  const hash = createHash('sha256')
  const legs = targets.map((endpoint) => startLeg(doors, endpoint, digest, arriving.declaredBytes))
  using _ended = exchange.onEnd(() => {
    for (const leg of legs) leg.abort()
  })
  try {
    await arriving.each((chunk) => {
      hash.update(chunk)
      const waits = legs.flatMap((leg) => leg.write(chunk) ?? [])
      return waits.length > 0 ? Promise.all(waits).then(() => {}) : undefined
    })
  } catch (error) {
    for (const leg of legs) leg.abort()
    throw new ClientGone('the client left while sending', { cause: error })
  }
  const found = `sha256:${hash.digest('hex')}`
  if (found !== digest.replace('sha256-', 'sha256:')) {
    // Not let to its end anywhere: a backend would keep nothing of it, but might take long to say so.
    for (const leg of legs) leg.abort()
    throw new Failure('request_invalid', `digest mismatch, expected "${digest}", got "${found}"`)
  }
  // Awaited here: until then it must hear that nobody wants it.
  return await Promise.all(legs.map((leg) => leg.end()))
}

function startLeg(
  { pool, wire, clock, hop }: FanOutDoors,
  endpoint: Endpoint,
  digest: string,
  declaredBytes: number | undefined,
) {
  const body = new PassThrough({ highWaterMark: 1_048_576 })
  body.on('error', () => {}) // the leg's outcome says what went wrong
  const { backend } = endpoint
  const headers = [
    'Host',
    backend.origin.slice(backend.origin.indexOf('//') + 2),
    'Via',
    `1.1 ${hop}`,
  ]
  if (declaredBytes !== undefined) headers.push('Content-Length', String(declaredBytes))
  for (const [name, value] of Object.entries(backend.headers)) headers.push(name, value)
  // An agent lets whom it has joined change what is on its disk.
  if (backend.agent) headers.push(memberHeader, backend.agent.tag)
  let over = false
  let drained: (() => void) | undefined
  const result = Promise.withResolvers<Upload>()
  const finish = (outcome: Outcome, text = 'text' in outcome ? outcome.text : '') => {
    over = true
    watch[Symbol.dispose]()
    drained?.()
    result.resolve({ endpoint, outcome, text })
  }
  const cut = (outcome: Outcome, text?: string) => {
    call.abort()
    body.destroy()
    finish(outcome, text)
  }
  const watch = whenGivenUp(pool, clock, endpoint, () =>
    cut({ kind: 'unreachable', text: 'it stopped answering' }),
  )
  let status = 0
  const chunks: Buffer[] = []
  let size = 0
  const call = wire.send(
    backend,
    { method: 'POST', path: `/api/blobs/${digest}`, headers, body },
    {
      head(said) {
        status = said
        // It said all it has to say before the upload ended: it has the blob, or will not take it.
        over = true
        drained?.()
      },
      data(chunk) {
        size += chunk.length
        if (size <= answerBytesMax) return void chunks.push(chunk)
        const text = 'its answer is far too large'
        cut({ kind: 'refused', status: 502, why: 'serverFault', text }, text)
      },
      ended: () => finish({ kind: 'answered', status }, Buffer.concat(chunks).toString()),
      failed: (error) =>
        status === 0
          ? finish(judgeError(error, false))
          : finish({ kind: 'answered', status }, Buffer.concat(chunks).toString()),
    },
  )
  return {
    write(chunk: Buffer): Promise<void> | undefined {
      if (over || body.write(chunk)) return undefined
      return new Promise((resolve) => {
        drained = resolve
        body.once('drain', () => {
          watch.heard()
          resolve()
        })
      })
    },
    end(): Promise<Upload> {
      body.end()
      return result.promise
    },
    /** Nothing of an upload that has come to its end already changes by it. */
    abort: () => cut({ kind: 'clientLeft' }),
  }
}
