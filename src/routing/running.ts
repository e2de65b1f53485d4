import type { Figures } from '../core/observer.ts'
import { decodeSAt, prefillSAt, type Rates } from './costs/rates.ts'
import type { RequestSize, Sample, ServedBy } from './costs/sample.ts'
import type { Work } from './work.ts'

/** How far a running request has come, as far as its owner can tell. */
export interface Progress {
  /** When its first piece came, on the clock's `now`; undefined: nothing yet, or its answer comes in one piece. */
  readonly firstTokenAtMs: number | undefined
  /** Pieces that were heard; 0 where nobody counts. */
  readonly pieces: number
}

/** One request on its seat. */
export interface Run {
  readonly served: ServedBy
  readonly size: RequestSize
  readonly work: Work
  /** It is batch work: nobody waits for it. */
  readonly isBatch: boolean
  readonly asTry: boolean
  readonly cachedTokens: number
  /** What was believed when it began. */
  readonly rates: Readonly<Rates>
  readonly progress: Progress
  readonly startedMs: number
  /** The model was not there: when its load is expected to be over. 0: it was. */
  loadEndsMs: number
  loadMs: number
  /** The machine's stream-milliseconds when it began to be served. */
  streamsFrom: number
  servedFromMs: number
  /** What the last `look` found, seconds until its end, and what that holds for. */
  secondsLeft: number
  lookedMs: number
  secondsAtLook: number
  lookedStreams: number
  /** Among those of its machine. */
  at: number
}

/** What goes on at one machine; good until something begins or ends there. */
export interface Goings {
  readonly runs: readonly Run[]
  /** Those that wait for a load. */
  readonly loading: number
  /** Another number than before: something began or ended there. */
  readonly version: number
}

interface MachineRuns extends Goings {
  readonly runs: Run[]
  /** Those whose model is there. */
  streams: number
  loading: number
  /** Streams summed over time. */
  streamMs: number
  atMs: number
  version: number
}

const idle: Goings = Object.freeze({ runs: [], loading: 0, version: 0 })
/** How far a run has come is worked out anew no more often: a busy fleet decides a thousand times a second. */
export const lookAgainMs = 250
/** … nor for one stream more or less beside more than so many. */
const streamsAlike = 8
/** Endpoints that are kept while nothing runs there, or each request to an idle one would make it anew. */
const idleKeptMax = 4_096

/**
 * What runs where, and when it is expected to end. The one owner of that: who takes a seat begins a run, and who gives
 * it back ends it, which makes a sample of it.
 */
export class Running {
  readonly #machines = new Map<string, MachineRuns>()
  #versions = 0
  #batches = 0

  begin(
    start: Pick<
      Run,
      'served' | 'size' | 'work' | 'isBatch' | 'asTry' | 'cachedTokens' | 'rates' | 'progress'
    >,
    isCold: boolean,
    nowMs: number,
  ): Run {
    const machine = this.#machineOf(start.served.endpoint)
    const loadEndsMs = isCold ? nowMs + start.rates.loadS * 1_000 : 0
    // Written out: to spread an object costs more than all the rest of it.
    const run: Run = {
      served: start.served,
      size: start.size,
      work: start.work,
      isBatch: start.isBatch,
      asTry: start.asTry,
      cachedTokens: start.cachedTokens,
      rates: start.rates,
      progress: start.progress,
      startedMs: nowMs,
      loadEndsMs,
      loadMs: 0,
      streamsFrom: 0,
      servedFromMs: nowMs,
      secondsLeft: 0,
      lookedMs: Number.NEGATIVE_INFINITY,
      secondsAtLook: 0,
      lookedStreams: 0,
      at: machine.runs.length,
    }
    machine.runs.push(run)
    if (run.isBatch) this.#batches++
    machine.version = ++this.#versions
    if (isCold) machine.loading++
    else this.#serve(machine, run, nowMs)
    return run
  }

  /** The load that it waited for is over. */
  loaded(run: Run, nowMs: number): void {
    if (run.loadEndsMs === 0) return
    run.loadEndsMs = 0
    run.loadMs = nowMs - run.startedMs
    run.lookedMs = Number.NEGATIVE_INFINITY
    const machine = this.#machineOf(run.served.endpoint)
    machine.version = ++this.#versions
    machine.loading--
    this.#serve(machine, run, nowMs)
  }

  /** It is over, and its seat free. */
  end(run: Run, nowMs: number, how: { figures: Figures | undefined; whole: boolean }): Sample {
    const machine = this.#machineOf(run.served.endpoint)
    const last = machine.runs.pop()!
    if (run.isBatch) this.#batches--
    machine.version = ++this.#versions
    if (last !== run) {
      machine.runs[run.at] = last
      last.at = run.at
    }
    const served = run.loadEndsMs === 0
    if (served) {
      this.#count(machine, nowMs)
      machine.streams--
    } else machine.loading--
    const tookMs = nowMs - run.startedMs
    const servedMs = nowMs - run.servedFromMs
    const firstTokenAtMs = firstTokenOf(run)
    const streamMs = machine.streamMs - run.streamsFrom
    if (machine.runs.length === 0) this.#rest(run.served.endpoint, machine)
    return {
      endpoint: run.served.endpoint,
      weights: run.served.weights,
      sizeBytes: run.served.sizeBytes,
      size: run.size,
      endedMs: nowMs,
      tookMs,
      firstTokenMs: firstTokenAtMs === undefined ? undefined : firstTokenAtMs - run.startedMs,
      loadMs: run.loadMs,
      streams: served && servedMs > 0 ? Math.max(1, streamMs / servedMs) : 1,
      cachedTokens: run.cachedTokens,
      figures: how.figures,
      pieces: firstTokenAtMs === undefined ? 0 : run.progress.pieces,
      whole: how.whole,
      asTry: run.asTry,
    }
  }

  at(endpoint: string): Goings {
    return this.#machines.get(endpoint) ?? idle
  }

  of(endpoint: string): readonly Run[] {
    return this.at(endpoint).runs
  }

  /**
   * Seconds until the loads that go on there are over, of these weights or of all; 0: none goes on. A load that takes
   * longer than expected takes a little longer still.
   */
  loadingS(endpoint: string, nowMs: number, weights?: string): number {
    const machine = this.#machines.get(endpoint)
    if (!machine || machine.loading === 0) return 0
    let seconds = 0
    for (const run of machine.runs)
      if (run.loadEndsMs > 0 && (weights === undefined || run.served.weights === weights))
        seconds = Math.max(seconds, loadSecondsLeft(run, nowMs))
    return seconds
  }

  /** Batch work runs somewhere. */
  get hasBatch(): boolean {
    return this.#batches > 0
  }

  /** Runs at all endpoints together. */
  get size(): number {
    let size = 0
    for (const { runs } of this.#machines.values()) size += runs.length
    return size
  }

  #serve(machine: MachineRuns, run: Run, nowMs: number): void {
    this.#count(machine, nowMs)
    machine.streams++
    run.streamsFrom = machine.streamMs
    run.servedFromMs = nowMs
  }

  #count(machine: MachineRuns, nowMs: number): void {
    machine.streamMs += machine.streams * (nowMs - machine.atMs)
    machine.atMs = nowMs
  }

  /** As it was before anything ran there, to the last bit. */
  #rest(endpoint: string, machine: MachineRuns): void {
    machine.streamMs = 0
    machine.atMs = 0
    machine.version = 0
    if (this.#machines.size > idleKeptMax) this.#machines.delete(endpoint)
  }

  #machineOf(endpoint: string): MachineRuns {
    let machine = this.#machines.get(endpoint)
    if (!machine) {
      machine = { runs: [], streams: 0, loading: 0, streamMs: 0, atMs: 0, version: 0 }
      this.#machines.set(endpoint, machine)
    }
    return machine
  }
}

/** An answer that was begun elsewhere and goes on here had its first piece before. */
function firstTokenOf({ progress, startedMs }: Run): number | undefined {
  const { firstTokenAtMs } = progress
  return firstTokenAtMs === undefined || firstTokenAtMs < startedMs ? undefined : firstTokenAtMs
}

/** Works out how far a run is, with so many streams at its endpoint: `secondsLeft`. */
export function look(run: Run, streams: number, nowMs: number): void {
  const passedMs = nowMs - run.lookedMs
  // Several decisions within a moment see the same, and one stream more beside many changes little.
  const isSame = Math.abs(streams - run.lookedStreams) * streamsAlike <= streams
  if (isSame && passedMs >= 0 && passedMs < lookAgainMs) {
    run.secondsLeft = Math.max(0, run.secondsAtLook - passedMs / 1_000)
    return
  }
  run.lookedMs = nowMs
  run.lookedStreams = streams
  run.secondsAtLook = secondsLeftOf(run, streams, nowMs)
  run.secondsLeft = run.secondsAtLook
}

function secondsLeftOf(run: Run, streams: number, nowMs: number): number {
  const { work, rates } = run
  const tokenS = decodeSAt(rates, streams)
  const leftS = (written: number) =>
    (work.lengths?.residual(written, work.outTokensMax) ?? 0) * tokenS
  if (firstTokenOf(run) !== undefined) return leftS(tokensWritten(run, streams, nowMs))
  const readS = Math.max(0, work.promptTokens - run.cachedTokens) * prefillSAt(rates, streams)
  if (run.loadEndsMs > 0) return loadSecondsLeft(run, nowMs) + readS + leftS(0)
  const passedS = (nowMs - run.servedFromMs) / 1_000
  const unreadS = Math.max(readS - passedS, work.lengths ? 0 : Math.max(0.1 * readS, 0.01))
  // An answer that comes in one piece tells nothing on its way: what it has written is guessed by time.
  return unreadS + leftS(Math.max(0, (passedS - readS) / tokenS))
}

function loadSecondsLeft({ loadEndsMs, rates }: Run, nowMs: number): number {
  return Math.max((loadEndsMs - nowMs) / 1_000, 0.2 * rates.loadS)
}

function tokensWritten(run: Run, streams: number, nowMs: number): number {
  const firstTokenAtMs = firstTokenOf(run)
  if (firstTokenAtMs === undefined) return 0
  if (run.progress.pieces > 0) return run.progress.pieces
  return (nowMs - firstTokenAtMs) / 1_000 / decodeSAt(run.rates, streams)
}
