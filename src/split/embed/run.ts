import type { Ask } from '../../core/ask.ts'
import type { Clock } from '../../core/clock.ts'
import { Failure, type FailureCode } from '../../core/failure.ts'
import type { AskInside, InnerAnswer } from '../../core/inner-call.ts'
import { deafObserver, type Figures, type Observer } from '../../core/observer.ts'
import { errorAnswer } from '../../dialects/errors.ts'
import { goDurationNs } from '../../dialects/go-duration.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import type { ServedModel } from '../../pool/served-model.ts'
import { barOf } from '../../routing/filters.ts'
import type { Need } from '../../routing/need.ts'
import type { Speeds } from '../speeds.ts'
import { BatchRun, type BatchTally } from './batch-run.ts'
import { EmbedClasses, type Subject } from './classes.ts'
import { allSurelyFit } from './fits.ts'
import type { BatchResult } from './harvest.ts'
import type { EmbedPath } from './join.ts'
import {
  type Batch,
  type EmbedSplit,
  itemsMin,
  type Machine,
  type Member,
  planBatch,
  textBytesMin,
} from './plan.ts'
import { probeBytes, probeTexts } from './probe.ts'
import { type InputItems, readInput } from './read.ts'
import { itemBaseBytes, Weights } from './weight.ts'

/** A client's request for embeddings, its body whole, decoded and in memory. */
export interface EmbedRequest {
  readonly id: string
  readonly path: EmbedPath
  readonly body: Buffer
  readonly ask: Ask
  readonly tenant: string
  readonly priority: 'interactive' | 'normal' | 'batch'
  readonly labels: readonly string[]
  readonly work: string
  readonly deadlineMs: number | undefined
  /** Names of endpoints that must not serve it. */
  readonly except: ReadonlySet<string>
}

/** A batch that is to be split, as it was decided; to be run at once, since backends change. */
export interface PlannedBatch {
  readonly request: EmbedRequest
  readonly digest: string
  readonly items: InputItems
  readonly weights: Weights
  readonly members: readonly Member[]
}

export interface EmbedAnswer {
  /** 499 when the client left. */
  readonly status: number
  readonly contentType: string
  /** The bytes of the answer, in pieces that share memory with the parts' answers. */
  readonly body: readonly Buffer[]
  /** Ours; undefined when it went well or a backend's own words are in the body. */
  readonly code: FailureCode | undefined
  /** Who served most of it. */
  readonly backend: string
  /** Parts by backend. */
  readonly parts: Readonly<Record<string, number>>
  /** Inner calls made, with those that were repeated or for nothing. */
  readonly asked: number
  readonly retried: number
  readonly hedged: number
  /** The longest that a part waited in the queue. */
  readonly waitMs: number
  readonly figures: Figures | undefined
}

export interface EmbedDoors {
  readonly ask: AskInside
  readonly pool: Pool
  readonly clock: Clock
  /** By backend and digest, in bytes of weight. */
  readonly speeds: Speeds
  readonly observer?: Observer
  /** `embed.split`, as it stands now. */
  readonly setting: () => EmbedSplit
}

/** A probe that takes longer says that the machine has other things to do. */
const probeMsMax = 120_000
/** A model that leaves memory this soon would leave it between two parts. */
const keepAliveNsMin = 10e9
/** A model up to this size is loaded for a probe beside others that are in memory. */
const quietModelBytesMax = 2 ** 30

/**
 * Splits large batches of embeddings over all machines that give the same numbers, and joins what they answer to what
 * one of them would have answered. Knows which of them give the same numbers. Everything else is the pool's.
 */
export class EmbedSplitter {
  readonly #doors: EmbedDoors
  readonly #observer: Observer
  readonly #classes: EmbedClasses
  #probes = 0

  constructor(doors: EmbedDoors) {
    this.#doors = doors
    this.#observer = doors.observer ?? deafObserver()
    this.#classes = new EmbedClasses({
      clock: doors.clock,
      askOne: (backend, body) => this.#askOne(backend, body),
      measured: ({ backend, digest }, model, { computedMs }) => {
        if (computedMs !== undefined)
          this.#doors.speeds.learnHint(backend, digest, probeWeight, computedMs)
        this.#tellOfClasses(digest, model)
      },
    })
  }

  /** Undefined: the batch goes the ordinary way, whole, to one backend. May begin to measure for the next one. */
  plan(request: EmbedRequest): PlannedBatch | undefined {
    const setting = this.#doors.setting()
    const { ask } = request
    if (setting === 'off' || ask.textBytes < textBytesMin || !isOrdinary(ask)) return undefined
    const found = this.#machinesFor(request)
    if (!found || found.machines.length < 2) return undefined
    const items = readInput(request.body)
    if (!items || items.count < itemsMin) return undefined

    const { digest, machines } = found
    const weights = new Weights(items, machines[0]!.contextTrained ?? contextUnknown)
    const batch: Batch = {
      items: items.count,
      textBytes: textBytesOf(items),
      weight: weights.of(0, items.count),
      contextAsked: contextAsked(ask),
      surelyFits: (contextTokens) => allSurelyFit(items, contextTokens),
    }
    const plan = planBatch(batch, machines, setting, (one, other) =>
      this.#classes.isMixable(subjectOf(one), subjectOf(other)),
    )
    for (const machine of plan.measure)
      this.#classes.measure(subjectOf(machine), ask.name.canonical)
    if (plan.kind === 'whole') return undefined
    return { request, digest, items, weights, members: plan.members }
  }

  /** Serves a planned batch. Never rejects; when the signal fires every part is cancelled in the same tick. */
  async run(batch: PlannedBatch, signal: AbortSignal): Promise<EmbedAnswer> {
    const { request, digest, items, weights, members } = batch
    const { path, tenant, priority, labels, work, deadlineMs, except } = request
    const { ask, clock, pool } = this.#doors
    const startedMs = clock.now()
    const run = new BatchRun(
      {
        id: request.id,
        path,
        digest,
        items,
        weights,
        members,
        call: { path, tenant, priority, labels, work, deadlineMs, except },
      },
      {
        ask,
        clock,
        observer: this.#observer,
        speeds: this.#doors.speeds,
        onChange: (act) => pool.onChange(act),
        isSame: ({ machine }) => this.#isSame(machine, request.ask),
        isUsable: ({ machine }) => {
          const endpoint = pool.endpoint(machine.name)
          return endpoint !== undefined && canServe(endpoint, needOf(request, digest))
        },
        names: () => pool.endpoints.map(({ name }) => name),
      },
    )
    const result = await run.run(signal)
    return answerOf(path, result, run.tally, clock.now() - startedMs)
  }

  /** A backend is back after having been away, or its address is another: what was measured is of the past. */
  forget(backend: string): void {
    this.#classes.forget(backend)
  }

  #machinesFor(request: EmbedRequest): { digest: string; machines: Machine[] } | undefined {
    const { pool } = this.#doors
    const { canonical } = request.ask.name
    const serving = pool.servingDigest(canonical)
    const able = pool.endpoints.flatMap((endpoint) => {
      const model = endpoint.model(canonical)
      return model && !model.remote && canServe(endpoint, needOf(request, serving))
        ? [{ endpoint, model }]
        : []
    })
    const digest = serving ?? able.find(({ model }) => model.digest !== undefined)?.model.digest
    if (digest === undefined) return undefined
    const machines = able
      .filter(({ model }) => model.digest === digest)
      .map(({ endpoint, model }) => this.#machineOf(endpoint, model, digest))
    return { digest, machines }
  }

  #machineOf(endpoint: Endpoint, model: ServedModel, digest: string): Machine {
    const { name, version, backend } = endpoint
    const subject: Subject = { digest, backend: name, version }
    const isSmall = (model.disk.sizeBytes ?? Number.POSITIVE_INFINITY) <= quietModelBytesMax
    return {
      name,
      digest,
      version,
      seats: Math.min(
        endpoint.seatsOf(model).limit,
        backend.slotsTotal ?? Number.POSITIVE_INFINITY,
      ),
      contextDefault: endpoint.contextDefault,
      contextLoaded: model.contextLoaded,
      contextTrained: model.disk.contextTrained,
      resident: model.resident,
      mayLoadQuietly:
        model.embeddingOnly && endpoint.inFlight === 0 && (isSmall || endpoint.inMemory.size === 0),
      weightPerMs: this.#doors.speeds.unitsPerMs(name, digest),
      weightPerMsHint: this.#doors.speeds.hint(name, digest),
      classId: this.#classes.classOf(subject),
      bytesPerVector: this.#classes.bytesPerVector(subject),
    }
  }

  #isSame(machine: Machine, ask: Ask): boolean {
    const endpoint = this.#doors.pool.endpoint(machine.name)
    return (
      endpoint?.version === machine.version &&
      endpoint?.model(ask.name.canonical)?.digest === machine.digest &&
      this.#classes.classOf(subjectOf(machine)) === machine.classId
    )
  }

  async #askOne(backend: string, body: Buffer): Promise<Pick<InnerAnswer, 'status' | 'body'>> {
    const { ask, pool, clock } = this.#doors
    const endpoint = pool.endpoint(backend)
    // It would only wait in line, and keep others from being measured.
    if (!endpoint?.ready || !endpoint.enabled || !endpoint.admitting) return notMeasured
    this.#probes++
    const { answer } = ask({
      id: `embed-probe.${this.#probes}`,
      path: '/api/embed',
      body,
      embeds: probeTexts.length,
      tenant: 'chasqui',
      priority: 'batch',
      labels: [],
      work: 'embed',
      deadlineMs: clock.now() + probeMsMax,
      except: new Set(pool.endpoints.flatMap(({ name }) => (name === backend ? [] : [name]))),
    })
    const given = await answer
    return given.backend === backend ? given : notMeasured
  }

  /** Tells once for each measured backend of a model when there is more than one class, and what follows from it. */
  #tellOfClasses(digest: string, model: string): void {
    const byClass = this.#classes.byClass(digest)
    if (byClass.length < 2) return
    const names = byClass.map((members) => members.join(', ')).join(' | ')
    this.#observer.noticed(`${model} does not give the same numbers everywhere: ${names}`, {
      model,
      classes: byClass,
      mixable: this.#classes.areAllMixable(digest),
    })
  }
}

const notMeasured = { status: 503, body: Buffer.alloc(0) }
/** Weights only compare items with one another; a text beyond this is rare where nobody said what is cut. */
const contextUnknown = 8_192
const probeWeight = probeBytes + probeTexts.length * itemBaseBytes

const subjectOf = ({ digest, name, version }: Machine): Subject => ({
  digest,
  backend: name,
  version,
})

/**
 * Nothing in the request makes parts different from the whole. Options that make a runner of its own may give other
 * numbers than those that were measured; and a model that leaves memory at once would be loaded again for each part.
 */
function isOrdinary({ purpose, name, runner, keepAlive }: Ask): boolean {
  const options = Object.keys(runner).filter((option) => option !== 'num_ctx')
  if (purpose !== 'infer' || name.cloud || options.length > 0) return false
  if (runner['num_ctx'] !== undefined && !(Number(runner['num_ctx']) > 0)) return false
  return keepAlive === undefined || stays(keepAlive)
}

function stays(keepAlive: string): boolean {
  let value: unknown
  try {
    value = JSON.parse(keepAlive)
  } catch {
    return false
  }
  if (value === null) return true
  const ns =
    typeof value === 'number'
      ? value * 1e9
      : typeof value === 'string'
        ? goDurationNs(value)
        : undefined
  // Negative: for ever.
  return ns !== undefined && (ns < 0 || ns >= keepAliveNsMin)
}

function contextAsked({ runner }: Ask): number | undefined {
  const asked = runner['num_ctx']
  return asked === undefined ? undefined : Number(asked)
}

function needOf({ ask, labels, work, except }: EmbedRequest, digest: string | undefined): Need {
  return {
    model: ask.name.canonical,
    cloud: false,
    capabilities: ask.needs,
    labels,
    promptTokens: 0,
    digest,
    seat: true,
    work,
    pinned: undefined,
    runner: '',
    not: except,
  }
}

function canServe(endpoint: Endpoint, need: Need): boolean {
  return barOf(endpoint, endpoint.model(need.model), need) === undefined
}

function textBytesOf({ count, starts, ends }: InputItems): number {
  let bytes = 0
  for (let index = 0; index < count; index++) bytes += ends[index]! - starts[index]! - 2
  return bytes
}

function answerOf(
  path: EmbedPath,
  result: BatchResult,
  tally: BatchTally,
  wallMs: number,
): EmbedAnswer {
  const byParts = [...tally.parts].sort(([, one], [, other]) => other - one)
  const common = {
    parts: Object.fromEntries(tally.parts),
    asked: tally.asked,
    retried: tally.retried,
    hedged: tally.hedged,
    waitMs: tally.waitMs,
    backend: byParts[0]?.[0] ?? '',
    code: undefined,
    figures: undefined,
    contentType: path === '/api/embed' ? nativeType : compatibleType,
  }
  switch (result.kind) {
    case 'left':
      return { ...common, status: 499, body: [] }
    case 'joined': {
      const { promptTokens, loadNs } = result.sums
      const figures: Figures = {
        totalNs: Math.round(wallMs * 1e6),
        loadNs,
        promptTokens,
        promptNs: 0,
        outputTokens: 0,
        outputNs: 0,
      }
      return { ...common, status: 200, body: result.body, figures }
    }
    case 'single': {
      const { status, body, code, backend, figures } = result.answer
      const contentType = contentTypeOf(path, body)
      return { ...common, status, body: [body], code, backend, figures, contentType }
    }
    case 'broken': {
      const failure = new Failure('upstream_failed', `${result.backend}: ${result.why}`)
      const family = path === '/api/embed' ? 'ollama' : 'openai'
      const { status, body, contentType } = errorAnswer(family, failure.status, failure.message, {
        code: failure.code,
      })
      const { code } = failure
      return { ...common, status, body: [body], code, backend: result.backend, contentType }
    }
  }
}

const nativeType = 'application/json; charset=utf-8'
const compatibleType = 'application/json'
const newline = 0x0a

/** What the compatible layer's encoder writes ends with a newline; everything else is gin's, with a charset. */
function contentTypeOf(path: EmbedPath, body: Buffer): string {
  return path === '/v1/embeddings' && body.at(-1) === newline ? compatibleType : nativeType
}
