import type { Clock } from '../../core/clock.ts'
import { Failure } from '../../core/failure.ts'
import { canonicalName } from '../../core/model-name.ts'
import type { Observer } from '../../core/observer.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { Settings } from '../../core/settings.ts'
import type { ProgressLine } from '../../dialects/progress.ts'
import { type BodyFacts, rawOf, textOf } from '../../dialects/scan.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import { askEndpoint } from '../ask-backend.ts'
import type { ArrivingBody } from '../body.ts'
import type { Exchange } from '../exchange.ts'
import { NotWanted } from '../queue.ts'
import type { Wire } from '../wire.ts'
import { Accounts } from './accounts.ts'
import { BlobMap, spreadBlob } from './blobs.ts'
import { Debts } from './debts.ts'
import { askAll, type Failed, mergeProgress, type Result, sayFailure } from './fan-out.ts'
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

/** The last line, and how it is sent where no line has gone before it. */
export interface Done {
  readonly last: ProgressLine
  readonly status: number
  readonly type: string
}

const payWaitMsMin = 2_000
const payWaitMsMax = 300_000

/** How long a last line waits for the lists to show what it announces. */
const refreshMsMax = 2_000

/**
 * What changes the fleet: the same call to every backend that it concerns, answered as one server would. None of it is
 * ever sent twice.
 */
export class Manager {
  readonly #doors: ManagerDoors
  /** Who is signed in. */
  readonly accounts: Accounts
  readonly #blobs = new BlobMap()
  readonly #debts: Debts
  /** By backend: how long until a deletion that failed is asked for again. */
  readonly #payWaitMs = new Map<string, number>()

  constructor(doors: ManagerDoors) {
    this.#doors = doors
    this.accounts = new Accounts(doors)
    this.#debts = new Debts(doors.settings.dataDir, doors.observer.noticed)
    this.remind(doors.pool.endpoints)
  }

  /** What is owed by these: they are new in service. */
  remind(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints)
      for (const model of this.#debts.of(endpoint.name)) endpoint.owedDeletes.add(model)
  }

  async pull(exchange: Exchange, told: Told): Promise<Done> {
    const { pool, settings } = this.#doors
    const model = exchange.asked.ask.name.canonical
    const sizeBytes = knownSizeBytes(pool.endpoints, model)
    const targets = placesFor(pool.endpoints, settings.manage.pull, sizeBytes)
    if (targets.length === 0 && reachable(pool.endpoints).length > 0)
      throw new Failure('request_invalid', 'no backend has memory for this model (manage.pull)')
    return await this.#progress(exchange, targets, told)
  }

  async create(exchange: Exchange, facts: BodyFacts, told: Told): Promise<Done> {
    return await this.#progress(exchange, this.#placesToCreate(facts), told)
  }

  async copy(exchange: Exchange, facts: BodyFacts, notFound: string): Promise<void> {
    const source = canonicalName(textOf(facts, 'source'))
    const destination = canonicalName(textOf(facts, 'destination'))
    const results = await this.#ask(this.#holders(source, notFound), exchange)
    const done = answered(results)
    for (const endpoint of done) this.#settle(endpoint, destination)
    await this.#seen(results.map(({ endpoint }) => endpoint))
    throwUnlessDone(results, isStale)
  }

  /** Deleted where it is; a backend that is away, or goes just now, is remembered and does it on its return. */
  async delete(exchange: Exchange, notFound: string): Promise<void> {
    const { pool } = this.#doors
    const model = exchange.asked.ask.name.canonical
    const holders = this.#holders(model, notFound)
    // Whose list nobody has seen yet may have it as well.
    const missing = pool.endpoints.filter(
      (each) =>
        !holders.includes(each) &&
        (each.onDisk.has(model) || (!each.ready && each.onDisk.size === 0)),
    )
    const results = await this.#ask(holders, exchange)
    const done = answered(results)
    // Nobody did it: then nobody owes it either, and the client is told to try again.
    if (done.length > 0) {
      const lost = results.flatMap(({ endpoint, outcome }) => (isLost(outcome) ? [endpoint] : []))
      missing.push(...lost)
      for (const endpoint of missing) this.#owe(endpoint, model)
      for (const endpoint of lost) this.#payLater(endpoint)
    }
    await this.#debts.written()
    pool.learned()
    await this.#seen(holders.filter((each) => !missing.includes(each)))
    throwUnlessDone(results, (outcome) => isStale(outcome) || isLost(outcome))
  }

  /** Out of memory wherever it is loaded, under this or another name of the same weights. */
  async unload(exchange: Exchange, notFound: string): Promise<Buffer> {
    const model = exchange.asked.ask.name.canonical
    const holders = this.#holders(model, notFound)
    const loaded = holders.filter((endpoint) => endpoint.residentAs(model))
    // Loaded nowhere: any one holder knows the right answer.
    const results = await this.#ask(loaded.length > 0 ? loaded : holders.slice(0, 1), exchange)
    const good = results.find(({ outcome }) => outcome.kind === 'answered')
    if (!good?.answer) throw failed(results)
    for (const { endpoint } of results) void this.#doors.refresh(endpoint)
    return good.answer.body
  }

  /** Everybody that a model may be created on has the blob. */
  async hasBlob(exchange: Exchange, digest: string): Promise<boolean> {
    const targets = this.#placesForBlobs()
    if (targets.length === 0) throw nobody()
    const results = await this.#ask(targets, exchange)
    for (const { endpoint, outcome } of results)
      if (outcome.kind === 'answered') this.#blobs.add(digest, endpoint.name)
    return results.every(({ outcome }) => outcome.kind === 'answered')
  }

  /** 201 where any stored it, 200 where all had it. */
  async takeBlob(exchange: Exchange, digest: string, arriving: ArrivingBody): Promise<number> {
    const targets = this.#placesForBlobs()
    if (targets.length === 0) throw nobody()
    const uploads = await spreadBlob(this.#doors, targets, exchange, digest, arriving)
    const stored = uploads.filter(
      ({ outcome }) => outcome.kind === 'answered' && outcome.status < 300,
    )
    for (const { endpoint } of stored)
      this.#blobs.add(digest.replace('sha256-', 'sha256:'), endpoint.name)
    // Whoever has it keeps it; the others have not failed, nobody waited for them.
    if (exchange.endedBy) throw new NotWanted()
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
    if (!endpoint.enabled || !endpoint.ready) return
    for (const model of this.#debts.of(endpoint.name)) {
      // Put there again while the others were deleted.
      if (!endpoint.owedDeletes.has(model)) continue
      const { outcome } = await askEndpoint(wire, clock, hop, endpoint, {
        method: 'DELETE',
        path: '/api/delete',
        body: JSON.stringify({ model }),
        timeoutMs: 30_000,
      })
      const done = outcome.kind === 'answered' || isStale(outcome)
      observer.noticed(
        done
          ? 'a deletion that a backend had missed is done'
          : 'a deletion that a backend had missed failed again',
        { backend: endpoint.name, model },
      )
      if (!done) return this.#payLater(endpoint)
      this.#settle(endpoint, model)
      await refresh(endpoint)
    }
    this.#payWaitMs.delete(endpoint.name)
  }

  /** For a backend that is there and still did not do it: its return, which would remind us, may never come. */
  #payLater(endpoint: Endpoint): void {
    const waitMs = this.#payWaitMs.get(endpoint.name) ?? payWaitMsMin
    this.#payWaitMs.set(endpoint.name, Math.min(waitMs * 2, payWaitMsMax))
    this.#doors.clock.after(waitMs, () => void this.payDebts(endpoint))
  }

  async #progress(exchange: Exchange, targets: readonly Endpoint[], { line }: Told): Promise<Done> {
    if (targets.length === 0) throw nobody()
    const body = streamed(await textOfBody(exchange))
    const { last, failures } = await mergeProgress(targets, exchange, this.#doors, body, line)
    if (exchange.endedBy) throw new NotWanted()
    const model = exchange.asked.ask.name.canonical
    const good = targets.filter(({ name }) => !failures.has(name))
    for (const endpoint of good) this.#settle(endpoint, model)
    await this.#seen(good)
    if (failures.size === 0) return { last, status: 200, type: 'application/json' }
    return { last: { error: sayFailures(failures, good) }, ...refusalOf(failures, good) }
  }

  /** The same call to all; throws when nobody waits for what they said. */
  async #ask(endpoints: readonly Endpoint[], exchange: Exchange): Promise<Result[]> {
    const body = exchange.asked.body.size === 0 ? undefined : await textOfBody(exchange)
    const results = await askAll(endpoints, exchange, this.#doors, body)
    if (exchange.endedBy) throw new NotWanted()
    return results
  }

  #owe(endpoint: Endpoint, model: string): void {
    this.#debts.owe(endpoint.name, model)
    endpoint.owedDeletes.add(model)
    endpoint.forget(model)
  }

  #settle(endpoint: Endpoint, model: string): void {
    this.#debts.settle(endpoint.name, model)
    endpoint.owedDeletes.delete(model)
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

/** A Modelfile with a long conversation in it may be large; one that is larger is no command. */
const commandBytesMax = 16 * 1_048_576

async function textOfBody({ asked: { body } }: Exchange): Promise<string> {
  if (body.size > commandBytesMax)
    throw new Failure('body_too_large', `a command is larger than ${commandBytesMax} bytes`)
  const opened = body.open()
  if (opened instanceof Uint8Array) return Buffer.from(opened).toString('utf8')
  const chunks: Uint8Array[] = []
  for await (const chunk of opened) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Who failed and with what; what all of them say alike is said once, as a single server would. */
function sayFailures(failures: ReadonlyMap<string, Failed>, good: readonly Endpoint[]): string {
  const texts = new Set([...failures.values()].map(({ message }) => message))
  const [only] = texts
  if (good.length === 0 && texts.size === 1 && only !== undefined) return only
  const said = [...failures].map(([name, { message }]) => `${name}: ${message}`).join('; ')
  return good.length === 0 ? said : `${said} (done on ${namesOf(good)})`
}

/** Where all refused alike before they began, that is the answer; everything else is the fleet's failure. */
function refusalOf(
  failures: ReadonlyMap<string, Failed>,
  good: readonly Endpoint[],
): { status: number; type: string } {
  const refusals = [...failures.values()].map(({ refused }) => refused)
  const [first] = refusals
  const alike = first && refusals.every((refused) => refused?.status === first.status)
  return good.length === 0 && alike ? first : { status: 500, type: 'application/json' }
}

function namesOf(endpoints: readonly Endpoint[]): string {
  return endpoints.map(({ name }) => name).join(', ')
}

const answered = (results: readonly Result[]): Endpoint[] =>
  results.flatMap(({ endpoint, outcome }) => (outcome.kind === 'answered' ? [endpoint] : []))

/** It has no such model: our list of its models was old. */
const isStale = (outcome: Outcome) => outcome.kind === 'refused' && outcome.status === 404

/** Nobody knows whether it was done there. */
const isLost = ({ kind }: Outcome) =>
  kind === 'unreachable' || kind === 'brokeOff' || kind === 'timedOut'

/** Done by one, and by all others but those that are excused. */
function throwUnlessDone(results: readonly Result[], excused: (outcome: Outcome) => boolean): void {
  const done = answered(results)
  const bad = results.filter(({ outcome }) => outcome.kind !== 'answered' && !excused(outcome))
  if (bad.length > 0) throw failed(bad, done)
  if (done.length === 0) throw failed(results.toSorted((a, b) => rank(a) - rank(b)))
}

/** Who could not be asked comes first: it may well have the model. */
const rank = ({ outcome }: Result) => (isLost(outcome) ? 0 : 1)

function nobody(): Failure {
  return new Failure('all_away', 'no backend can take this now', { retryAfterS: 5 })
}

/** The first failure, with the name of its backend unless all that were asked say the same. */
function failed(results: readonly Result[], done: readonly Endpoint[] = []): Failure {
  const [first] = results
  if (!first) return nobody()
  const { outcome, endpoint, answer } = first
  const code =
    outcome.kind === 'refused' && outcome.why === 'clientFault'
      ? 'request_invalid'
      : outcome.kind === 'refused' && outcome.why === 'noModel'
        ? 'model_unknown'
        : 'upstream_failed'
  const said = sayFailure(outcome, answer)
  const alike = results.every((each) => sayFailure(each.outcome, each.answer) === said)
  if (done.length > 0)
    return new Failure(code, `${endpoint.name}: ${said} (done on ${namesOf(done)})`)
  return new Failure(code, alike && code !== 'upstream_failed' ? said : `${endpoint.name}: ${said}`)
}
