import PQueue from 'p-queue'
import type { Ask } from '../core/ask.ts'
import { Failure, type FailureCode } from '../core/failure.ts'
import type { InnerAnswer } from '../core/inner-call.ts'
import type { PartTurned } from '../core/observer.ts'
import { ownAsk } from '../dialects/own-ask.ts'
import type { Said } from './answers.ts'
import { CannotCombine, type Combiner } from './combine/combiner.ts'
import { combinerFor } from './combine/combiners.ts'
import type { Part } from './cut/splitter.ts'
import { isLineLike } from './cut/splitters.ts'
import { FanOut, PartFailed } from './fan-out.ts'
import { type Holder, holdersOf, seatsOf } from './fleet.ts'
import { askLive } from './live.ts'
import type {
  DryRun,
  NamedModel,
  SplitDoors,
  SplitOrder,
  SplitReport,
  SplitResult,
  SplitSink,
} from './order.ts'
import { answeredPart, type Errand, type ErrandResult, PartRunner } from './part-runner.ts'
import { planRun, type RunPlan } from './planning.ts'
import { Shelf } from './shelf.ts'
import { Tally } from './tally.ts'

/** Answers that wait for their turn, before they go to a file. */
const shelfMemoryBytesMax = 16 * 1_048_576
/** Of the context, what a prompt that combines may fill; the rest is for its answer. */
const combineShare = 0.6

/** One large input over the whole fleet: planned, cut, sent out, and made one answer, in the order of the input. */
export class SplitRun implements Disposable {
  readonly #doors: SplitDoors
  readonly #order: SplitOrder
  readonly #tally = new Tally()
  readonly #running = new DisposableStack()
  readonly #unwanted = new AbortController()
  #startedMs = 0
  #runner: PartRunner | undefined
  #fanOut: FanOut | undefined
  /** What each part asks, but for its text. */
  #ask: Ask | undefined

  constructor(doors: SplitDoors, order: SplitOrder) {
    this.#doors = doors
    this.#order = order
  }

  /** Nobody wants it any more: everything that is under way is told so in this very tick. */
  [Symbol.dispose](): void {
    this.#unwanted.abort(nobodyWants())
    this.#fanOut?.stop(nobodyWants())
    this.#running.dispose()
  }

  /** Throws a Failure: before the first text when the request can not be served at all, later when a part fails. */
  async run(sink: SplitSink): Promise<SplitResult> {
    const { clock, observer } = this.#doors
    const { id, model, combine } = this.#order
    this.#startedMs = clock.now()
    const plan = await this.#plan()
    const { by, parts } = plan
    const facts = { id, by, combine: combine.by, parts: parts.length }
    observer.splitStarted({ ...facts, model: model.canonical })
    sink.event({ kind: 'planned', parts: parts.length, by })
    let outcome: 'ok' | 'partial' | 'failed' | 'cancelled' = 'failed'
    try {
      if (this.#running.disposed) throw nobodyWants()
      const notes = await this.#carry(plan, sink)
      outcome = this.#tally.failures.length > 0 ? 'partial' : 'ok'
      const { figures, doneReason } = this.#tally
      return { report: this.#report(plan, notes), figures, doneReason }
    } catch (error) {
      if (this.#running.disposed) outcome = 'cancelled'
      throw asFailure(error, parts.length)
    } finally {
      this.#running.dispose()
      observer.splitEnded({
        ...facts,
        outcome,
        wallMs: clock.now() - this.#startedMs,
        workMs: this.#tally.workMs,
        stragglerMs: this.#tally.stragglerMs,
      })
    }
  }

  /** What would be asked, and where; nothing is sent. Throws a Failure. */
  async dryRun(): Promise<DryRun> {
    const plan = await this.#plan()
    const leftOut = new Set(plan.leftOut.map(({ backend }) => backend))
    return {
      by: plan.by,
      combine: this.#order.combine.by,
      parts: plan.parts.map(({ index, label, tokens, start, end }) => ({
        part: index + 1,
        label,
        tokens: Math.ceil(tokens),
        start,
        end,
      })),
      backends: this.#holders(this.#order.model, leftOut).map(({ name, seats, context }) => ({
        name,
        seats,
        context,
        expected_ms_per_token: this.#doors.speeds.expectedMs(name, this.#order.model.canonical, 1),
      })),
      ...saidOf(plan),
    }
  }

  async #plan(): Promise<RunPlan> {
    const { model, combiningModel, labels } = this.#order
    await this.#doors.mustHave(model, labels)
    if (combiningModel) await this.#doors.mustHave(combiningModel, labels)
    return await planRun(this.#order, this.#holders(model), this.#doors, this.#unwanted.signal)
  }

  async #carry(plan: RunPlan, sink: SplitSink): Promise<Combiner['notes']> {
    const { model, split, combine, stream, holes } = this.#order
    const { parts } = plan
    const leftOut = new Set(plan.leftOut.map(({ backend }) => backend))
    if (parts.length === 1 && stream && combine.by === 'concat') {
      await this.#live(parts[0]!, leftOut, sink)
      return undefined
    }
    const runner = this.#running.use(this.#newRunner(parts.length, leftOut, sink))
    this.#runner = runner
    const combiner = await this.#combiner(plan, runner)
    await using shelf = new Shelf(shelfMemoryBytesMax, this.#doors.openSpool)
    const fanOut = new FanOut(parts, {
      runner,
      shelf,
      errandOf: (part) => this.#errand(part),
      taken: (answer, said, part) => this.#taken(answer, said, part),
      seats: () => seatsOf(this.#holders(model, leftOut)),
      maxParallel: split.maxParallel,
      holes,
    })
    this.#fanOut = fanOut
    // Before the shelf goes, also where the answers can not be made one: what is put down later nobody takes away.
    using _begun = { [Symbol.dispose]: () => fanOut.stop(nobodyWants()) }
    for await (const { part, ...done } of fanOut.inOrder()) {
      if ('failed' in done) this.#tally.failed(part, done.failed)
      const piece = combiner.add({ index: part.index, label: part.label, ...done })
      if (piece !== '') await sink.text(piece)
    }
    // Nothing but holes is no answer.
    const [first] = this.#tally.failures
    if (first && this.#tally.failures.length === parts.length)
      throw new Failure('part_failed', `every part failed, the first one so: ${first.error}`)
    const rest = await combiner.end()
    if (rest !== '') await sink.text(rest)
    return combiner.notes
  }

  #newRunner(parts: number, leftOut: ReadonlySet<string>, sink: SplitSink): PartRunner {
    const { ask, clock, dice, speeds } = this.#doors
    const { id } = this.#order
    let done = 0
    return new PartRunner(
      id,
      {
        ask,
        clock,
        dice,
        speeds,
        holders: (model) => this.#holders(model, leftOut),
        turned: ({ errand: { name, stage, tokens }, state, backend, tookMs }) => {
          if (stage === 'map' && (state === 'answered' || state === 'failed')) done++
          this.#turned({ id, name, stage, state, backend, tookMs, tokens }, { done, parts }, sink)
        },
      },
      { leftOut, moreToCome: () => (this.#fanOut?.unbegun ?? 0) > 0 },
    )
  }

  #turned(turn: PartTurned, counts: { done: number; parts: number }, sink: SplitSink): void {
    this.#doors.observer.partTurned(turn)
    const { name, stage, state, backend, tookMs } = turn
    sink.event({ kind: 'part', name, stage, state, backend, ms: Math.round(tookMs), ...counts })
  }

  #errand(part: Part): Errand {
    const { path, bodyOf, model } = this.#order
    const body = bodyOf(part.text, false)
    this.#ask ??= ownAsk(path, body).ask
    const ask = { ...this.#ask, textBytes: body.length }
    return {
      name: `part ${part.index + 1}`,
      stage: 'map',
      model,
      tokens: Math.max(1, part.tokens),
      call: { ...this.#calling(), path, body, ask },
    }
  }

  #calling() {
    const { tenant, priority, labels, work, deadlineMs } = this.#order
    return { tenant, priority, labels, work, deadlineMs }
  }

  /** An answer is in: what it adds up to, what it teaches, and its text. */
  #taken(answer: InnerAnswer, said: Said, part: Part): string {
    this.#tally.answered(answer, said.reason, this.#doors.clock.now())
    this.#learn(answer, part)
    return said.text
  }

  /** How many tokens a text has, the backend has counted. */
  #learn({ figures }: InnerAnswer, part: Part): void {
    const { model, overhead } = this.#order
    if (figures)
      this.#doors.tokens.learn(model.canonical, overhead + part.text, figures.promptTokens)
  }

  async #live(part: Part, except: ReadonlySet<string>, sink: SplitSink): Promise<void> {
    const { id, path, bodyOf, model } = this.#order
    const { answer, reason } = await askLive(
      this.#doors.ask,
      { ...this.#calling(), id: `${id}.1`, path, body: bodyOf(part.text, true), except },
      (piece) => sink.text(piece),
      (running) => this.#running.defer(() => running.cancel()),
    )
    this.#tally.answered(answer, reason, this.#doors.clock.now())
    this.#learn(answer, part)
    const { backend, servedMs: tookMs } = answer
    const tokens = Math.max(1, part.tokens)
    this.#doors.speeds.learnPart(backend, model.canonical, answeredPart(tokens, answer))
    const turn = {
      id,
      name: 'part 1',
      stage: 'map',
      state: 'answered',
      backend,
      tookMs,
      tokens,
    } as const
    this.#turned(turn, { done: 1, parts: 1 }, sink)
  }

  async #combiner(plan: RunPlan, runner: PartRunner): Promise<Combiner> {
    const { combine, schema, split, question } = this.#order
    const model = this.#order.combiningModel ?? this.#order.model
    const holders = this.#holders(model)
    const context = Math.min(...holders.map((holder) => holder.context))
    const seats = Math.max(1, seatsOf(holders))
    const atOnce = new PQueue({
      concurrency: split.maxParallel > 0 ? Math.min(split.maxParallel, seats) : seats,
    })
    const tokensOf = (text: string) => this.#doors.tokens.estimate(model.canonical, text)
    return await combinerFor(combine, {
      parts: plan.parts.length,
      lineLike: isLineLike(plan.by),
      overlapping: split.overlap > 0,
      schema,
      question,
      tokensOf,
      tokensMax: Math.floor(context * combineShare),
      ask: (prompt, { level, group }) =>
        atOnce.add(async () => {
          const result = await runner.run({
            name: `reduce ${level}.${group}`,
            stage: 'reduce',
            model,
            tokens: Math.max(1, tokensOf(prompt)),
            call: {
              ...this.#calling(),
              path: '/api/generate',
              body: this.#order.bodyOfPrompt(model.text, prompt),
            },
          })
          if (!result.ok) throw combiningFailed(result)
          const { answer, said } = result
          this.#tally.answered(answer, said.reason, this.#doors.clock.now())
          return said.text
        }),
    })
  }

  #holders({ canonical, cloud }: NamedModel, except: ReadonlySet<string> = new Set()): Holder[] {
    const { labels, context, rules } = this.#order
    return holdersOf(this.#doors.pool, { model: canonical, cloud, labels, except, context, rules })
  }

  #report(plan: RunPlan, combined: Combiner['notes']): SplitReport {
    const wallMs = this.#doors.clock.now() - this.#startedMs
    const { workMs, backends, failures } = this.#tally
    return {
      parts: plan.parts.length,
      by: plan.by,
      combine: this.#order.combine.by,
      backends,
      wall_ms: Math.round(wallMs),
      work_ms: Math.round(workMs),
      speedup: wallMs > 0 ? Math.round((100 * workMs) / wallMs) / 100 : 1,
      retried: this.#runner?.retried ?? 0,
      hedged: this.#runner?.hedged ?? 0,
      failed: failures,
      ...saidOf(plan),
      ...(combined && Object.keys(combined).length > 0 ? { combined } : {}),
    }
  }
}

/** What was decided and why, for the report; what there is nothing to say of is left out. */
function saidOf({ leftOut, decision, note }: RunPlan) {
  return {
    ...(leftOut.length > 0 ? { left_out: leftOut } : {}),
    ...(decision ? { auto: decision } : {}),
    ...(note === undefined ? {} : { note }),
  }
}

function nobodyWants(): Failure {
  return new Failure('answer_cut', 'nobody wants this answer any more')
}

/** These say what is wrong with the run, not only with the part that met it first. */
const passed: ReadonlySet<FailureCode> = new Set([
  'stopping',
  'total_timeout',
  'all_away',
  'model_away',
  'no_backend',
  'model_unknown',
  'unsupported',
  'request_invalid',
  'poison',
])

function combiningFailed({ why, answer: { code } }: ErrandResult & { ok: false }): Error {
  const sentence = `a call that combines failed: ${why}`
  return code !== undefined && passed.has(code)
    ? new Failure(code, sentence)
    : new CannotCombine(sentence)
}

function asFailure(error: unknown, parts: number): unknown {
  if (error instanceof CannotCombine) return new Failure('cannot_combine', error.message)
  if (!(error instanceof PartFailed)) return error
  const { part, why, code, status } = error
  const sentence = `part ${part.index + 1} of ${parts} (${part.label}) failed: ${why}`
  if (code !== undefined && passed.has(code)) return new Failure(code, sentence)
  return new Failure(status >= 400 && status < 500 ? 'request_invalid' : 'part_failed', sentence)
}
