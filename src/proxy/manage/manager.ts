import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { Failure } from '../../core/failure.ts'
import { canonicalName } from '../../core/model-name.ts'
import type { Observer } from '../../core/observer.ts'
import type { Settings } from '../../core/settings.ts'
import type { ProgressLine } from '../../dialects/progress.ts'
import { type BodyFacts, rawOf, textOf } from '../../dialects/scan.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import { askEndpoint } from '../ask-backend.ts'
import type { Exchange } from '../exchange.ts'
import { NotWanted } from '../queue.ts'
import type { Wire } from '../wire.ts'
import { BlobMap, spreadBlob } from './blobs.ts'
import { Debts } from './debts.ts'
import { askAll, mergeProgress, sayFailure } from './fan-out.ts'
import { knownSizeBytes, placesFor, reachable } from './targets.ts'

export interface ManagerDoors {
  readonly pool: Pool
  readonly wire: Wire
  readonly clock: Clock
  readonly observer: Observer
  readonly settings: Settings
  readonly hop: string
  readonly refresh: (endpoint: Endpoint) => Promise<void>
}

/** How the manager answers: one JSON object, an empty 200, or lines of progress. */
export interface Told {
  readonly line: (line: ProgressLine) => void
}

/** How long a last line waits for the lists to show what it announces. */
const refreshMsMax = 2_000

/**
 * What changes the fleet: the same call to every backend that it concerns, answered as one server would. None of it is
 * ever sent twice.
 */
export class Manager {
  readonly #doors: ManagerDoors
  readonly #blobs = new BlobMap()
  readonly #debts: Debts

  constructor(doors: ManagerDoors) {
    this.#doors = doors
    this.#debts = new Debts(doors.settings.dataDir)
  }

  /** Resolves with the last line: `success`, or an error that names who failed. */
  async pull(exchange: Exchange, told: Told): Promise<ProgressLine> {
    const { pool, settings } = this.#doors
    const model = exchange.asked.ask.name.canonical
    const targets = placesFor(
      pool.endpoints,
      settings.manage.pull,
      knownSizeBytes(pool.endpoints, model),
    )
    return await this.#progress(exchange, targets, told)
  }

  async create(exchange: Exchange, facts: BodyFacts, told: Told): Promise<ProgressLine> {
    return await this.#progress(exchange, this.#placesToCreate(facts), told)
  }

  async copy(exchange: Exchange, facts: BodyFacts, notFound: string): Promise<void> {
    const source = canonicalName(textOf(facts, 'source'))
    const holders = this.#holders(source, notFound)
    await this.#allOrError(exchange, holders)
    const destination = canonicalName(textOf(facts, 'destination'))
    for (const { name } of holders) this.#debts.settle(name, destination)
  }

  /** Deleted where it is; a backend that is away is remembered and does it on its return. */
  async delete(exchange: Exchange, notFound: string): Promise<void> {
    const { pool } = this.#doors
    const model = exchange.asked.ask.name.canonical
    const holders = this.#holders(model, notFound)
    const away = pool.holders(model).filter((endpoint) => !holders.includes(endpoint))
    for (const { name } of away) this.#debts.owe(name, model)
    await this.#debts.written()
    await this.#allOrError(exchange, holders)
  }

  /** Out of memory wherever it is loaded, under this or another name of the same weights. */
  async unload(exchange: Exchange, notFound: string): Promise<Buffer> {
    const { pool } = this.#doors
    const model = exchange.asked.ask.name.canonical
    const holders = this.#holders(model, notFound)
    const loaded = holders.filter((endpoint) => endpoint.residentAs(model))
    // Loaded nowhere: any one holder knows the right answer.
    const results = await askAll(
      loaded.length > 0 ? loaded : holders.slice(0, 1),
      exchange,
      this.#doors,
    )
    if (exchange.endedBy) throw new NotWanted()
    const good = results.find(({ outcome }) => outcome.kind === 'answered')
    if (!good?.answer) throw failed(results)
    for (const { endpoint } of results) void this.#doors.refresh(endpoint)
    pool.learned()
    return good.answer.body
  }

  /** Everybody that a model may be created on has the blob. */
  async hasBlob(exchange: Exchange, digest: string): Promise<boolean> {
    const targets = this.#placesForBlobs()
    if (targets.length === 0) throw nobody()
    const results = await askAll(targets, exchange, this.#doors)
    for (const { endpoint, outcome } of results)
      if (outcome.kind === 'answered') this.#blobs.add(digest, endpoint.name)
    return results.every(({ outcome }) => outcome.kind === 'answered')
  }

  /** 201 where any stored it, 200 where all had it. */
  async takeBlob(path: string, digest: string, request: IncomingMessage): Promise<number> {
    if (!/^sha256[:-][0-9a-f]{64}$/.test(digest))
      throw new Failure('request_invalid', 'invalid digest format')
    const targets = this.#placesForBlobs()
    if (targets.length === 0) throw nobody()
    const uploads = await spreadBlob(
      this.#doors.wire,
      this.#doors.hop,
      targets,
      path,
      request,
      digest,
    )
    const stored = uploads.filter(
      ({ outcome }) => outcome.kind === 'answered' && outcome.status < 300,
    )
    for (const { endpoint } of stored)
      this.#blobs.add(digest.replace('sha256-', 'sha256:'), endpoint.name)
    if (stored.length < uploads.length) {
      const missed = uploads.filter((upload) => !stored.includes(upload))
      // A part of the fleet is enough: create goes to those that have it, and the log says who does not.
      this.#doors.observer.noticed('a blob did not reach every backend', {
        digest,
        missing: missed.map(({ endpoint }) => endpoint.name),
      })
      if (stored.length === 0)
        throw new Failure('upstream_failed', `no backend took the blob: ${missed[0]?.text ?? ''}`)
    }
    return stored.some(({ outcome }) => outcome.kind === 'answered' && outcome.status === 201)
      ? 201
      : 200
  }

  /** A backend is back: what it missed is done now. */
  async payDebts(endpoint: Endpoint): Promise<void> {
    const { wire, clock, hop, observer, refresh } = this.#doors
    for (const model of this.#debts.of(endpoint.name)) {
      const { outcome } = await askEndpoint(wire, clock, hop, endpoint, {
        method: 'DELETE',
        path: '/api/delete',
        body: JSON.stringify({ model }),
        timeoutMs: 30_000,
      })
      const gone =
        outcome.kind === 'answered' || (outcome.kind === 'refused' && outcome.status === 404)
      if (!gone) return // still not well; its next return asks again
      this.#debts.settle(endpoint.name, model)
      observer.noticed('a deletion that a backend had missed is done', {
        backend: endpoint.name,
        model,
      })
      await refresh(endpoint)
    }
  }

  async #progress(
    exchange: Exchange,
    targets: readonly Endpoint[],
    told: Told,
  ): Promise<ProgressLine> {
    if (targets.length === 0) throw nobody()
    const body = exchange.asked.body.bytes?.toString('utf8')
    if (body === undefined)
      throw new Failure('body_too_large', 'a management call is larger than a body held in memory')
    const model = exchange.asked.ask.name.canonical
    const streaming = streamed(body)
    const { last, failures } = await mergeProgress(
      targets,
      exchange,
      this.#doors,
      streaming,
      told.line,
    )
    if (exchange.endedBy) throw new NotWanted()
    const good = targets.filter(({ name }) => !failures.has(name))
    for (const { name } of good) this.#debts.settle(name, model)
    await this.#seen(good)
    if (failures.size === 0 || good.length === 0) return withoutPlace(last, targets)
    const [[name, message] = ['', '']] = failures
    return {
      error: `${name}: ${message} (done on ${good.map((endpoint) => endpoint.name).join(', ')})`,
    }
  }

  async #allOrError(exchange: Exchange, endpoints: readonly Endpoint[]): Promise<void> {
    const results = await askAll(endpoints, exchange, this.#doors)
    if (exchange.endedBy) throw new NotWanted()
    await this.#seen(endpoints)
    const bad = results.filter(
      ({ outcome }) =>
        outcome.kind !== 'answered' && !(outcome.kind === 'refused' && outcome.status === 404),
    )
    if (bad.length > 0) throw failed(bad)
    if (!results.some(({ outcome }) => outcome.kind === 'answered')) throw failed(results)
  }

  /** The lists show it before the client hears of it: who lists models next must not be surprised. */
  async #seen(endpoints: readonly Endpoint[]): Promise<void> {
    const { clock, refresh } = this.#doors
    let timer: Disposable | undefined
    const limit = new Promise<void>((resolve) => {
      timer = clock.after(refreshMsMax, resolve)
    })
    await Promise.race([Promise.all(endpoints.map((endpoint) => refresh(endpoint))), limit])
    timer?.[Symbol.dispose]()
  }

  #holders(model: string, notFound: string): Endpoint[] {
    const { pool } = this.#doors
    const holders = pool.holders(model)
    const able = reachable(holders)
    if (able.length > 0) return able
    if (holders.length > 0)
      throw new Failure(
        'model_away',
        `the model is only on ${holders.map(({ name }) => name).join(', ')}, which can not be reached`,
        { retryAfterS: 5 },
      )
    if (reachable(pool.endpoints).length === 0) throw nobody()
    throw new Failure('model_unknown', notFound)
  }

  /** Creation may go wherever a pull may, less the question of size: the blob is not the model yet. */
  #placesForBlobs(): Endpoint[] {
    return placesFor(this.#doors.pool.endpoints, this.#doors.settings.manage.pull, undefined)
  }

  /**
   * With uploaded files: those that hold all of them. From another model: those that have it, since a server without
   * it would silently pull it.
   */
  #placesToCreate(facts: BodyFacts): Endpoint[] {
    const able = this.#placesForBlobs()
    const digests = [...digestsIn(rawOf(facts, 'files')), ...digestsIn(rawOf(facts, 'adapters'))]
    if (digests.length > 0) {
      const holding = able.filter(({ name }) =>
        digests.every((digest) => this.#blobs.holders(digest)?.has(name)),
      )
      // Uploaded past us, or before a restart: the backends themselves know.
      return holding.length > 0 ? holding : able
    }
    const from = textOf(facts, 'from')
    if (from === '') return able
    const having = able.filter((endpoint) => endpoint.onDisk.has(canonicalName(from)))
    return having.length > 0 ? having : able
  }
}

function digestsIn(rawFiles: string | undefined): string[] {
  if (rawFiles === undefined) return []
  try {
    return Object.values(JSON.parse(rawFiles) as Record<string, unknown>).filter(
      (digest) => typeof digest === 'string',
    )
  } catch {
    return []
  }
}

/**
 * Our own call streams, whatever the client asked: only a stream tells how far it is. A second `stream` at the end
 * counts, as Go's decoder takes the last one, and the rest of the body stays as the client wrote it.
 */
function streamed(body: string): string {
  const end = body.lastIndexOf('}')
  return end < 0 ? body : `${body.slice(0, end)},"stream":true${body.slice(end)}`
}

/** With a single backend the error is its own, without our naming it. */
function withoutPlace(last: ProgressLine, targets: readonly Endpoint[]): ProgressLine {
  const error = last['error']
  const [only] = targets
  if (typeof error !== 'string' || targets.length !== 1 || only === undefined) return last
  return { ...last, error: error.replace(`${only.name}: `, '') }
}

function nobody(): Failure {
  return new Failure('all_away', 'no backend can take this now', { retryAfterS: 5 })
}

function failed(
  results: readonly {
    endpoint: Endpoint
    outcome: Parameters<typeof sayFailure>[0]
    answer: Parameters<typeof sayFailure>[1]
  }[],
): Failure {
  const [first] = results
  if (!first) return nobody()
  const { outcome, endpoint, answer } = first
  const code =
    outcome.kind === 'refused' && outcome.why === 'clientFault'
      ? 'request_invalid'
      : outcome.kind === 'refused' && outcome.why === 'noModel'
        ? 'model_unknown'
        : 'upstream_failed'
  return new Failure(code, `${endpoint.name}: ${sayFailure(outcome, answer)}`)
}
