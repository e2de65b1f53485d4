import PQueue from 'p-queue'
import type { Clock } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import { jittered } from '../core/dice.ts'
import type { Observer } from '../core/observer.ts'
import type { ProbeSettings } from '../core/settings.ts'
import { type ModelOnDisk, readPs, readShow, readTags } from './catalogue.ts'
import type { Endpoint } from './endpoint.ts'
import { type Health, healthAfter, healthHeardAgain, healthInSilence } from './health.ts'
import type { Pool } from './pool.ts'

/** One small question to a backend: its parsed JSON answer, or an error whose message a person can read. */
export type AskBackend = (
  endpoint: Endpoint,
  question: { method: 'GET' | 'POST'; path: string; body?: string; timeoutMs: number },
) => Promise<unknown>

export interface ProberDoors {
  readonly clock: Clock
  readonly dice: Dice
  readonly observer: Observer
  readonly ask: AskBackend
  /** Called when a backend that was away is ready again. */
  readonly returned?: (endpoint: Endpoint) => void
}

/** How many models' details are asked for at once of one backend: a slow one must not hold up the others. */
const showsAtOnce = 2
/** More than this in line for one backend are asked for after its next list. */
const showsWaitingMax = 1_000
/** A look that somebody waits for (an unknown model) is made at most this often. */
const urgentEveryMs = 2_000

/** However long a look took, so much of the interval passes before the next. */
const pauseShareMin = 0.1

/** Asks every endpoint on a beat of its own: is it there, what has it loaded, and now and then what is on its disk. */
export class Prober implements Disposable {
  readonly #pool: Pool
  #settings: ProbeSettings
  readonly #doors: ProberDoors
  readonly #beats = new Map<Endpoint, Beat>()
  /** What /api/show told, by digest: the same weights say the same everywhere. */
  readonly #details = new Map<string, ReturnType<typeof readShow>>()
  #stopped = false

  constructor(pool: Pool, settings: ProbeSettings, doors: ProberDoors) {
    this.#pool = pool
    this.#settings = settings
    this.#doors = doors
  }

  /** After a reload: the beats go on in the new measure, also those that have just begun to wait in the old one. */
  reconfigure(settings: ProbeSettings): void {
    if (settings === this.#settings) return
    this.#settings = settings
    for (const [endpoint, beat] of this.#beats) {
      if (!beat.timer) continue
      beat.timer[Symbol.dispose]()
      this.#wait(endpoint, beat)
    }
  }

  /**
   * Starts a beat for every endpoint that has none, ends those of the gone ones; one that is leaving keeps it, since
   * who still waits there must hear when it freezes. Ends when the first looks have.
   */
  async start(): Promise<void> {
    const inService = new Set(this.#pool.endpoints)
    for (const [endpoint, beat] of this.#beats)
      if (!inService.has(endpoint) && !this.#pool.leaving.has(endpoint)) {
        end(beat)
        this.#beats.delete(endpoint)
      }
    await Promise.all(
      [...inService]
        .filter((endpoint) => !this.#beats.has(endpoint))
        .map((endpoint) => {
          this.#beats.set(endpoint, {
            modelsAtMs: undefined,
            urgentAtMs: undefined,
            timer: undefined,
            looking: undefined,
            shows: new PQueue({ concurrency: showsAtOnce }),
          })
          return this.#turn(endpoint)
        }),
    )
  }

  /** A fresh look at models on disk and in memory; several who ask at once share one. */
  async refresh(endpoint: Endpoint): Promise<void> {
    const beat = this.#beats.get(endpoint)
    if (!beat) return
    // A look that began before now may have missed what the caller knows has changed.
    await beat.looking
    if (this.#isOver(endpoint, beat)) return
    beat.modelsAtMs = undefined
    await this.#look(endpoint, beat)
  }

  /** Somebody asks for a model that no list names: one look at everybody, unless there just was one. */
  async refreshForUnknown(): Promise<void> {
    const now = this.#doors.clock.now()
    await Promise.all(
      this.#pool.endpoints.map((endpoint) => {
        const beat = this.#beats.get(endpoint)
        if (!beat) return undefined
        if (endpoint.health.state === 'away') return undefined
        const lastMs = Math.max(beat.modelsAtMs ?? -Infinity, beat.urgentAtMs ?? -Infinity)
        if (now - lastMs < urgentEveryMs) return beat.looking
        beat.urgentAtMs = now
        return this.refresh(endpoint)
      }),
    )
  }

  /** Its agent has said nothing for too long: it is away until it does, also while something answers the probes. */
  silent(endpoint: Endpoint): void {
    endpoint.silent = true
    this.#becomes(endpoint, healthInSilence(this.#doors.clock.now()))
  }

  /** Its agent is heard again: ready at once, and looked at. One that has started anew is looked at first. */
  async back(endpoint: Endpoint, anew: boolean): Promise<void> {
    endpoint.silent = false
    // The first look has still to tell what there is.
    if (endpoint.health.state === 'unknown') return
    endpoint.forgive()
    if (anew) return await this.#backAnew(endpoint)
    if (endpoint.health.state === 'away')
      this.#becomes(endpoint, healthHeardAgain(this.#doors.clock.now()))
    await this.refresh(endpoint)
  }

  async #backAnew(endpoint: Endpoint): Promise<void> {
    const beat = this.#beats.get(endpoint)
    if (!beat) return
    await beat.looking
    if (this.#isOver(endpoint, beat)) return
    beat.modelsAtMs = undefined
    const look = await this.#look(endpoint, beat)
    if (!look.ok || endpoint.silent) return
    if (endpoint.health.state === 'away')
      this.#becomes(endpoint, healthHeardAgain(this.#doors.clock.now()))
    else endpoint.returned()
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    for (const beat of this.#beats.values()) end(beat)
    this.#beats.clear()
  }

  async #turn(endpoint: Endpoint): Promise<void> {
    const beat = this.#beats.get(endpoint)
    if (!beat || this.#stopped) return
    const startedMs = this.#doors.clock.now()
    const look = await this.#look(endpoint, beat)
    if (this.#isOver(endpoint, beat)) return
    // Only what is seen on the beat turns its health: looks that clients cause would make `fall` a matter of moments.
    this.#heard(endpoint, look)
    if (this.#isGone(endpoint)) this.#beats.delete(endpoint)
    else this.#wait(endpoint, beat, this.#doors.clock.now() - startedMs)
  }

  /** From the beginning of one look to that of the next: a server that says nothing is not found out any later. */
  #wait(endpoint: Endpoint, beat: Beat, passedMs = 0): void {
    const { intervalMs, jitter } = this.#settings
    const waitMs = jittered(this.#doors.dice, intervalMs, jitter) - passedMs
    beat.timer = this.#doors.clock.after(Math.max(waitMs, intervalMs * pauseShareMin), () => {
      beat.timer = undefined
      void this.#turn(endpoint)
    })
  }

  /** While something was waited for it was taken out, or all was stopped. */
  #isOver(endpoint: Endpoint, beat: Beat): boolean {
    return this.#stopped || this.#beats.get(endpoint) !== beat
  }

  #isGone(endpoint: Endpoint): boolean {
    return this.#pool.endpoint(endpoint.name) !== endpoint && !this.#pool.leaving.has(endpoint)
  }

  #look(endpoint: Endpoint, beat: Beat): Promise<Look> {
    beat.looking ??= this.#lookNow(endpoint, beat).finally(() => {
      beat.looking = undefined
    })
    return beat.looking
  }

  async #lookNow(endpoint: Endpoint, beat: Beat): Promise<Look> {
    const { clock, observer, ask } = this.#doors
    const { timeoutMs, modelsEveryMs } = this.#settings
    const startedMs = clock.now()
    const wasReady = endpoint.ready
    const get = (path: string) => ask(endpoint, { method: 'GET', path, timeoutMs })
    const listDue =
      beat.modelsAtMs === undefined || startedMs - beat.modelsAtMs >= modelsEveryMs || !wasReady
    try {
      const [ps, tags, version] = await Promise.all([
        get('/api/ps'),
        listDue ? get('/api/tags') : undefined,
        // Not worth a backend: stand-ins for Ollama may have none.
        listDue ? get('/api/version').catch(() => undefined) : undefined,
      ])
      endpoint.seenMs = clock.now()
      const models = readPs(ps)
      let changed = !sameLoaded(endpoint, models)
      endpoint.learnInMemory(models, startedMs)
      if (listDue) {
        beat.modelsAtMs = startedMs
        endpoint.version = versionOf(version)
        endpoint.learnOnDisk(this.#withDetails(endpoint, beat, readTags(tags)))
        changed = true
      }
      observer.probed(endpoint.name, clock.now() - startedMs, true)
      if (changed) this.#pool.learned()
      return { ok: true }
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'no answer'
      endpoint.lastError = reason
      observer.probed(endpoint.name, clock.now() - startedMs, false)
      return { ok: false, reason }
    }
  }

  #heard(endpoint: Endpoint, look: Look): void {
    if (endpoint.silent) return
    this.#becomes(
      endpoint,
      healthAfter(endpoint.health, look, this.#doors.clock.now(), this.#settings),
    )
  }

  #becomes(endpoint: Endpoint, after: Health): void {
    const before = endpoint.health
    endpoint.health = after
    if (before.state === after.state) return
    this.#doors.observer.backendTurned(endpoint.name, after.state, after.reason)
    if (before.state === 'away' && after.state === 'ready') endpoint.returned()
    this.#pool.learned()
    if (after.state === 'ready') this.#doors.returned?.(endpoint)
    if (after.state === 'away') for (const lease of endpoint.leases) lease.onAway?.()
  }

  /** Older servers list no capabilities: those are asked for one by one, once for each digest. */
  #withDetails(endpoint: Endpoint, beat: Beat, models: readonly ModelOnDisk[]): ModelOnDisk[] {
    return models.map((model) => {
      if (model.capabilities !== undefined || model.digest === undefined) return model
      const known = this.#details.get(model.digest)
      if (known)
        return { ...model, ...known, contextTrained: known.contextTrained ?? model.contextTrained }
      if (beat.shows.size < showsWaitingMax)
        void this.#askDetails(endpoint, beat, model, model.digest)
      return model
    })
  }

  async #askDetails(
    endpoint: Endpoint,
    beat: Beat,
    model: ModelOnDisk,
    digest: string,
  ): Promise<void> {
    // More digests than a fleet has models means that somebody makes them up.
    if (this.#details.size > 10_000) this.#details.clear()
    this.#details.set(digest, { capabilities: undefined, contextTrained: undefined })
    try {
      const details = readShow(
        await beat.shows.add(() =>
          this.#doors.ask(endpoint, {
            method: 'POST',
            path: '/api/show',
            body: JSON.stringify({ model: model.canonical }),
            timeoutMs: this.#settings.timeoutMs,
          }),
        ),
      )
      this.#details.set(digest, details)
      for (const each of this.#pool.endpoints) each.learnDetails(digest, details)
      this.#pool.learned()
    } catch {
      this.#details.delete(digest) // asked again with the next list
    }
  }
}

interface Beat {
  /** When the models on disk were last listed. */
  modelsAtMs: number | undefined
  /** When somebody who named an unknown model last made it look. */
  urgentAtMs: number | undefined
  timer: Disposable | undefined
  looking: Promise<Look> | undefined
  readonly shows: PQueue
}

type Look = { readonly ok: true } | { readonly ok: false; readonly reason: string }

function end(beat: Beat): void {
  beat.timer?.[Symbol.dispose]()
  beat.shows.clear()
}

function versionOf(body: unknown): string | undefined {
  const version =
    typeof body === 'object' && body !== null ? (body as { version?: unknown }).version : undefined
  return typeof version === 'string' && version.length < 100 ? version : undefined
}

function sameLoaded(endpoint: Endpoint, models: readonly { canonical: string }[]): boolean {
  return (
    models.length === endpoint.inMemory.size &&
    models.every((model) => endpoint.inMemory.has(model.canonical))
  )
}
