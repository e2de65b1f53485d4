import type { Family, Op } from './ask.ts'
import type { FailureCode } from './failure.ts'

/** The four counts and durations that Ollama puts into its last line, in its own unit: nanoseconds. */
export interface Figures {
  readonly totalNs: number
  readonly loadNs: number
  readonly promptTokens: number
  readonly promptNs: number
  readonly outputTokens: number
  readonly outputNs: number
}

/** How an exchange ended, as metrics and logs say it. */
export type Ending =
  | 'ok'
  | 'client_closed'
  | 'rejected'
  | 'shed'
  | 'queue_timeout'
  | 'upstream_error'
  | 'upstream_timeout'
  | 'stream_broken'
  | 'bad_request'

/** The one sentence in which every exchange ends. */
export interface ExchangeEnded {
  readonly id: string
  readonly family: Family
  readonly op: Op
  /** The model's canonical name, or '' when none was named. */
  readonly model: string
  /** Why that is another model than the one that was named; undefined: it is not. */
  readonly substitute?: Substitute | undefined
  readonly tenant: string
  readonly priority: string
  readonly ending: Ending
  readonly status: number
  readonly code: FailureCode | undefined
  /** The backend that gave the answer, or the last one asked; '' when none was. */
  readonly backend: string
  readonly attempts: number
  /** What each failed attempt was, for the log: `walnut: refused crashed`. */
  readonly trail: readonly string[]
  /** Its later legs, in order; mostly there are none. */
  readonly continued: readonly Continued[]
  readonly waitMs: number
  /** From arrival to the first byte of the answer. */
  readonly firstByteMs: number | undefined
  readonly totalMs: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly figures: Figures | undefined
}

/** Another model answers: the name is an alias, a rule says so, or nobody can serve the one that was named. */
export interface Substitute {
  /** Canonical name of the model that was named. */
  readonly asked: string
  readonly why: 'alias' | 'rule' | 'fallback'
}

/** One later leg of an answer. */
export interface Continued {
  readonly from: string
  readonly to: string
  /** `trailing`, `raw`, `restart`. */
  readonly method: string
  /** `whole`, `brokeOff`, `diverged`, `refused`. */
  readonly result: string
  /** From the break to the moment when the next backend was asked; a wait for a seat and a load are part of it. */
  readonly afterMs: number
  /** The date of that moment, for whoever holds it against a backend's own log; undefined: no connection was made. */
  readonly askedWallMs: number | undefined
}

/** A request whose answer was late was sent a second time elsewhere, and this came of it. */
export interface Hedged {
  readonly first: string
  readonly second: string
  /** `won`: the first byte came from the second. */
  readonly result: 'won' | 'lost'
}

/** A split run begins: what will be asked, and in how many parts. */
export interface SplitStarted {
  readonly id: string
  readonly model: string
  readonly by: string
  readonly combine: string
  readonly parts: number
}

/** One part (or one call that combines) turned: with the run's id this is enough to draw a lane for each backend. */
export interface PartTurned {
  readonly id: string
  /** `part 3`, `reduce 1.2`. */
  readonly name: string
  readonly stage: 'map' | 'reduce'
  readonly state: 'answered' | 'retried' | 'hedged' | 'failed'
  readonly backend: string
  /** On the seat. */
  readonly tookMs: number
  /** What it weighed, as estimated. */
  readonly tokens: number
}

/** How a split run ended. */
export interface SplitEnded {
  readonly id: string
  readonly by: string
  readonly combine: string
  readonly outcome: 'ok' | 'partial' | 'failed' | 'cancelled'
  readonly parts: number
  readonly wallMs: number
  /** What all parts took on their seats, one after another. */
  readonly workMs: number
  /** The end of the last part after that of the middle one. */
  readonly stragglerMs: number
}

/** The settings were read again. Sentences name keys, and no secrets. */
export interface ReloadEnded {
  /** Who asked: `file`, `SIGHUP`, `request`. */
  readonly cause: string
  readonly result: 'applied' | 'unchanged' | 'refused'
  readonly changes: readonly string[]
  readonly needsRestart?: readonly string[]
  /** Why it was refused: the first problem, with its place. */
  readonly problem?: string
}

/** The list of facts that the house announces. Rooms tell an Observer; they know no logger and no metrics library. */
export interface Observer {
  exchangeStarted(family: Family, op: Op): void
  exchangeEnded(fact: ExchangeEnded): void
  retried(backend: string, reason: string): void
  probed(backend: string, tookMs: number, ok: boolean): void
  backendTurned(backend: string, state: string, reason: string): void
  breakerTurned(backend: string, model: string | undefined, state: string): void
  backendErred(backend: string, kind: string): void
  loaded(backend: string, model: string, result: 'ok' | 'error' | 'rescued', tookMs: number): void
  /** A load there hung, so that only what is in memory is asked of it; or loads work again. */
  loadsHung(backend: string, model: string, hang: boolean): void
  /** Loaded ahead, or pushed out to make room; why in one word. */
  residencyMoved(backend: string, model: string, what: 'loaded' | 'unloaded', why: string): void
  /** An answer that had broken off was gone on with elsewhere, or could not be. */
  continued(fact: Continued): void
  hedged(fact: Hedged): void
  /** A batch answer that came from there gave its seat to a person, and goes on later. */
  gaveWay(backend: string): void
  /** Decisions that are not in their log. */
  decisionsDropped(count: number): void
  splitStarted(fact: SplitStarted): void
  partTurned(fact: PartTurned): void
  splitEnded(fact: SplitEnded): void
  reloaded(fact: ReloadEnded): void
  /** Something an operator should read once. */
  noticed(sentence: string, detail?: Readonly<Record<string, unknown>>): void
}

/** An observer that listens to nothing; tests and tools overwrite what they care for. */
export function deafObserver(heard: Partial<Observer> = {}): Observer {
  const nothing = () => {}
  return {
    exchangeStarted: nothing,
    exchangeEnded: nothing,
    retried: nothing,
    probed: nothing,
    backendTurned: nothing,
    breakerTurned: nothing,
    backendErred: nothing,
    loaded: nothing,
    loadsHung: nothing,
    residencyMoved: nothing,
    continued: nothing,
    hedged: nothing,
    gaveWay: nothing,
    decisionsDropped: nothing,
    splitStarted: nothing,
    partTurned: nothing,
    splitEnded: nothing,
    reloaded: nothing,
    noticed: nothing,
    ...heard,
  }
}
