import type { Clock } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import type { AskInside } from '../core/inner-call.ts'
import type { Late } from '../core/late.ts'
import type { Figures, Observer } from '../core/observer.ts'
import type { Pool } from '../pool/pool.ts'
import type { Placement } from '../routing/rules/placement.ts'
import type { AutoDecision } from './auto.ts'
import type { CombineOptions } from './combine/options.ts'
import type { TokenEstimator } from './cut/tokens-of.ts'
import type { CutAside } from './cut-aside.ts'
import type { SplitOptions } from './options.ts'
import type { OpenSpool } from './shelf.ts'
import type { Speeds } from './speeds.ts'

/** A model as a request names it. */
export interface NamedModel {
  /** As the client wrote it. */
  readonly text: string
  readonly canonical: string
  readonly cloud: boolean
}

/** A large input, and how its parts are asked and made one answer. */
export interface SplitOrder {
  readonly id: string
  readonly model: NamedModel
  readonly input: string | readonly unknown[]
  readonly split: SplitOptions
  readonly combine: CombineOptions
  /** Who combines, where a model does; undefined: the one that answers the parts. */
  readonly combiningModel: NamedModel | undefined
  /** `format`, when it is a schema: what the whole answer must be. */
  readonly schema: object | undefined
  /** True: a part without an answer leaves a marked hole. */
  readonly holes: boolean
  readonly path: '/api/generate' | '/api/chat'
  /** The body that asks for one part. */
  readonly bodyOf: (text: string, stream: boolean) => Buffer
  /** The body of a call that combines: a prompt for a model, with nothing of the parts' format. */
  readonly bodyOfPrompt: (modelText: string, prompt: string) => Buffer
  /** What the client wants done, for a model that combines; undefined: it stands in the input itself. */
  readonly question: string | undefined
  /** Text that comes with every part. */
  readonly overhead: string
  /** The request's own num_ctx and num_predict. */
  readonly context: number | undefined
  readonly answerTokens: number | undefined
  readonly tenant: string
  readonly priority: 'interactive' | 'normal' | 'batch'
  readonly labels: readonly string[]
  readonly work: string
  /** What the operator's rules say of it; undefined: nothing. */
  readonly rules: Placement | undefined
  readonly deadlineMs: number | undefined
  /** The client reads as it goes: a single part is let out piece by piece. */
  readonly stream: boolean
}

/** Where the answer goes as it comes to be. */
export interface SplitSink {
  /** The next piece of the answer; resolves when the client is ready for more; undefined: it is now. */
  text(piece: string): Promise<void> | undefined
  event(event: SplitEvent): void
}

export type SplitEvent =
  | { readonly kind: 'planned'; readonly parts: number; readonly by: string }
  | {
      readonly kind: 'part'
      readonly name: string
      readonly stage: 'map' | 'reduce'
      readonly state: string
      readonly backend: string
      readonly ms: number
      readonly done: number
      readonly parts: number
    }

/** The plan of a run that is not made. */
export interface DryRun {
  readonly by: string
  readonly combine: string
  readonly parts: readonly {
    readonly part: number
    readonly label: string
    /** As estimated. */
    readonly tokens: number
    readonly start: number
    readonly end: number
  }[]
  readonly backends: readonly {
    readonly name: string
    readonly seats: number
    readonly context: number
    /** Undefined: it has not answered yet. */
    readonly expected_ms_per_token: number | undefined
  }[]
  readonly left_out?: readonly { readonly backend: string; readonly context: number }[]
  readonly auto?: AutoDecision
  readonly note?: string
}

/** The `split` field of the answer. */
export interface SplitReport {
  readonly parts: number
  readonly by: string
  readonly combine: string
  readonly backends: Readonly<Record<string, number>>
  readonly wall_ms: number
  readonly work_ms: number
  readonly speedup: number
  readonly retried: number
  readonly hedged: number
  readonly failed: readonly {
    readonly part: number
    readonly label: string
    readonly error: string
  }[]
  readonly left_out?: readonly { readonly backend: string; readonly context: number }[]
  readonly auto?: AutoDecision
  readonly note?: string
  readonly combined?: Readonly<Record<string, unknown>>
}

export interface SplitResult {
  readonly report: SplitReport
  readonly figures: Figures
  readonly doneReason: 'stop' | 'length'
}

export interface SplitDoors {
  readonly ask: AskInside
  readonly pool: Pool
  readonly clock: Clock
  readonly dice: Dice
  readonly observer: Observer
  readonly speeds: Speeds
  readonly tokens: TokenEstimator
  readonly aside: Late<CutAside>
  readonly openSpool: OpenSpool
  /** Throws a Failure when no backend has the model, or nobody who has it is there. */
  readonly mustHave: (model: NamedModel, labels: readonly string[]) => Promise<void>
}
