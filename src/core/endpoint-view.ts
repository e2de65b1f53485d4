import type { RunnerKey } from './runner-options.ts'

/** What routing may know of an Endpoint: a window without handles. The pool's Endpoint satisfies it as it is. */
export interface EndpointView {
  readonly name: string
  readonly weight: number
  readonly labels: readonly string[]
  /** The operator's voice: false while drained. */
  readonly enabled: boolean
  /** The probes' voice. */
  readonly ready: boolean
  /** The outcomes' voice, for the endpoint as a whole. */
  readonly admitting: boolean
  /** Context in tokens of a model that is not loaded there. */
  readonly contextDefault: number
  /** Requests in flight, over all models. */
  readonly inFlight: number
  /** Requests that it may take beside those, whatever the model; Infinity where nobody set a limit. */
  readonly room: number
  /** Whether the operator lets it serve this model; where it has no such method, all of them. */
  takes?(canonical: string): boolean
  /** Its loads hang: only what is in memory there can be served. */
  readonly loadsHang?: boolean
  /** The model there by canonical name, as far as the last look told. */
  model(canonical: string): ModelView | undefined
}

/** One model at one endpoint. */
export interface ModelView {
  /** The manifest's sha256 in hex; undefined for stand-ins that give none. */
  readonly digest: string | undefined
  /** Undefined: the server did not say, so nothing is ruled out. */
  readonly capabilities: ReadonlySet<string> | undefined
  /** Loaded there, or in no need of loading. */
  readonly resident: boolean
  /** Whether a request with these runner options takes the loaded runner as it is; without the method: nobody knows. */
  runsAs?(runner: RunnerKey): 'same' | 'other' | 'unknown'
  /** Context in tokens of the loaded runner; undefined when not loaded or not said. */
  readonly contextLoaded: number | undefined
  /** What outcomes say of this model at this endpoint and of the endpoint itself. */
  readonly admitting: boolean
  /** True when a seat could be taken now. */
  readonly seatFree: boolean
  /** True when no seat is free but one more than the known ones may be tried. */
  readonly seatToTry: boolean
  readonly seatsUsed: number
  /** Seats that are known to exist, taken or not. */
  readonly seatsLimit: number
  /** The weights on disk in bytes; undefined where the server did not say. */
  readonly sizeBytes: number | undefined
  /** Not loaded, and to load it another model would have to leave the memory, as far as is known. */
  readonly evicts: boolean
  /** It came back a moment ago and has as much to do as it should for now: who else has a free seat goes first. */
  readonly heldBack: boolean
}
