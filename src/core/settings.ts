import type { Backend } from './backend.ts'

/**
 * Everything an operator can set, checked, with units in the names. A reload exchanges whole sections of the one object
 * that the house reads, so who reads holds the whole and takes a section when it is needed.
 */
export interface Settings {
  readonly listen: ListenAddress
  readonly backends: readonly Backend[]
  /** Where spooled bodies and what must outlive a restart are kept. */
  readonly dataDir: string
  readonly adminToken: string | undefined
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
    readonly format: 'auto' | 'json' | 'pretty'
  }
  readonly probes: ProbeSettings
  readonly breaker: BreakerSettings
  readonly routing: RoutingSettings
  readonly residency: ResidencySettings
  readonly placement: PlacementSettings
  readonly queue: QueueSettings
  readonly limits: LimitSettings
  readonly timeouts: TimeoutSettings
  readonly retries: RetrySettings
  readonly generate: {
    readonly timeoutMs: number
    /** Set before `commands` that come without an instruction; empty: nothing is. */
    readonly commandsInstruction: string
  }
  /** When a backend breaks off in the middle of an answer, another one goes on with it. */
  readonly continuation: boolean
  /** A request whose answer is late to begin is sent a second time elsewhere, and the first byte wins. */
  readonly hedge: boolean
  /** The file in which decisions are noted, to be made again one day; undefined: nowhere. */
  readonly decisionLog: string | undefined
  readonly embed: { readonly split: EmbedSplit }
  readonly manage: { readonly pull: PullTargets }
  /** Unknown paths under /api and /v1 go to one backend instead of getting Ollama's 404. */
  readonly forwardUnknown: boolean
  /** The client's Authorization header is passed on. Off: it is ours, and no backend's business. */
  readonly passAuthorization: boolean
  /** Added to the origins that Ollama allows by default. A `*` stands for any text. */
  readonly allowedOrigins: readonly string[]
  /** Added to the Host names that Ollama allows on a loopback listener. */
  readonly allowedHosts: readonly string[]
  readonly tenants: TenantSettings
  readonly join: JoinSettings
  readonly discover: DiscoverSettings
}

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface ProbeSettings {
  readonly intervalMs: number
  /** Below the interval, or two probes of one backend would overlap. */
  readonly timeoutMs: number
  /** How often the models on disk are asked for; in between only what is loaded. */
  readonly modelsEveryMs: number
  /** Failed probes in a row until a backend counts as away. */
  readonly fall: number
  /** Good probes in a row until it counts as ready again. */
  readonly rise: number
  /** Share of the interval by which each probe is moved at random. */
  readonly jitter: number
}

export interface BreakerSettings {
  /** Failures in a row that make it rest. */
  readonly failuresInRow: number
  /** Or this share of the last `windowSize` outcomes. */
  readonly failureShare: number
  readonly windowSize: number
  readonly restMs: number
  /** Rests double up to this. */
  readonly restMsMax: number
  /** Who comes back, from a rest or from being away, gets its share bit by bit over this; undefined: at once. */
  readonly slowStartMs: number | undefined
}

export type PickerName =
  | 'expected-completion'
  | 'least-busy'
  | 'round-robin'
  | 'weighted'
  | 'capability'

export interface RoutingSettings {
  readonly picker: PickerName
  /** For the capability picker: kind of work → backend names, best first. */
  readonly preferences: Readonly<Record<string, readonly string[]>>
  /** A model load goes on when the client that asked for it leaves. */
  readonly loadRescue: boolean
}

/** Where requests may go, and under which names models are asked for. */
export interface PlacementSettings {
  /** A conversation goes where it is in memory, while that saves more than it costs. */
  readonly affinity: boolean
  readonly rules: readonly Rule[]
  /** A client's name for a model → the model. */
  readonly aliases: Readonly<Record<string, string>>
  /** A model → those that stand in for it where nobody can serve it, best first. */
  readonly fallbacks: Readonly<Record<string, readonly string[]>>
}

/** Names of backends or labels; `label:` before a word says that it is a label. */
export type PlaceWords = readonly string[]

export interface Rule {
  readonly when: RuleWhen
  readonly only: PlaceWords | undefined
  readonly never: PlaceWords | undefined
  /** By how much longer it may take there, in milliseconds. */
  readonly preferMs: Readonly<Record<string, number>> | undefined
  readonly priority: 'interactive' | 'normal' | 'batch' | undefined
  readonly useModel: string | undefined
}

/** All that is given must match; in the patterns a `*` stands for any text. */
export interface RuleWhen {
  readonly tenant: readonly string[] | undefined
  readonly user: readonly string[] | undefined
  readonly model: readonly string[] | undefined
  readonly work: readonly string[] | undefined
  readonly labels: readonly string[]
  readonly promptTokensMax: number | undefined
  readonly tools: boolean | undefined
  readonly images: boolean | undefined
}

/** Which models stay in memory where. Maps are by name of a backend, or by canonical model name. */
export interface ResidencySettings {
  /** Loads are weighed, room for them is made, and what is wanted is loaded before somebody waits. */
  readonly on: boolean
  /** Models that stay loaded, by backend. */
  readonly pins: Readonly<Record<string, readonly string[]>>
  /** By backend: nothing else is loaded there unless a request needs it. */
  readonly only: Readonly<Record<string, readonly string[]>>
  readonly replicas: Readonly<Record<string, { readonly min: number; readonly max: number }>>
  /** Share of a machine's time that swaps may take. */
  readonly swapShare: number
  /** That share follows the fleet's load; for studies, always true in life. */
  readonly swapsAdapt: boolean
  /** What is pushed out counts so many times its price; for studies, always 1 in life. */
  readonly evictionWeight: number
  /** What was loaded stays at least so long. */
  readonly minResidencyMs: number
  /** What is asked for more is kept longer. */
  readonly keepAlive: boolean
}

export interface QueueSettings {
  /** Requests that may wait; 0: none, who finds no free seat is turned away at once. */
  readonly waitingMax: number
  /** Of one tenant; 0: four fifths of all. */
  readonly waitingPerTenantMax: number
  readonly waitMsMax: number
  /** True: a priority header counts against everybody; false: it only orders a tenant's own requests. */
  readonly priorityAcrossTenants: boolean
  /** Batch work that streams gives its seat to people who wait, and goes on later. */
  readonly givesWay: boolean
}

export interface LimitSettings {
  readonly bodyBytesMax: number
  /** A body up to this stays in memory; a larger one is spooled to a file. */
  readonly bodyInMemoryBytesMax: number
  readonly bodiesMemoryBytesMax: number
  readonly bodiesDiskBytesMax: number
  /** Idle and slow clients: the head of a request must be complete within this. */
  readonly headMsMax: number
}

export interface TimeoutSettings {
  readonly connectMs: number
  /** From the last byte sent to the first byte back; undefined: none, a model may load for minutes. */
  readonly firstByteMs: number | undefined
  /** Between two bytes of an answer; undefined: none. */
  readonly idleMs: number | undefined
  /** From SIGTERM until no more connections are taken, while readiness fails; undefined: at once. */
  readonly noticeMs: number | undefined
  /** From then until streams that still run get their one line of error. */
  readonly drainMs: number
}

export interface RetrySettings {
  /** Further attempts of one exchange after the first. */
  readonly furtherAttemptsMax: number
  /** Retries may be this share of the exchanges, and … */
  readonly budgetShare: number
  /** … at least this many in ten seconds. */
  readonly budgetFloor: number
}

export type PullTargets =
  | { readonly to: 'all' }
  | { readonly to: 'fit' }
  | { readonly to: 'best'; readonly count: number }

/** Whether batches of embeddings are split, and over which machines: those that give the same numbers, or nearly. */
export type EmbedSplit = 'off' | 'same-class' | 'all'

export interface TenantSettings {
  /** Who may say who the user is: addresses and CIDR ranges. */
  readonly trustedFrom: readonly string[]
  /** Headers that name the user, first found wins. */
  readonly userHeaders: readonly string[]
}

/** Who may become a backend by asking. */
export interface JoinSettings {
  /** What agents sign with; undefined: nobody can join. Secret. */
  readonly token: string | undefined
  /** Who need not wait to be accepted. */
  readonly allow: readonly AllowRule[]
  /** Addresses that may join although nobody outside should be called there, such as loopback. */
  readonly allowAddresses: readonly string[]
  /** Members at most, pending ones included. */
  readonly membersMax: number
}

/** All that is given must match. */
export interface AllowRule {
  /** A `*` stands for any text. */
  readonly name: string | undefined
  readonly from: readonly string[] | undefined
  readonly labels: readonly string[]
}

/** Where backends are looked for beside the configuration. */
export interface DiscoverSettings {
  /** Names whose every address is a backend; `_service._tcp.name` is asked for its SRV records. */
  readonly dns: readonly string[]
  readonly dnsEveryMs: number
  /** A directory with a file for each backend, or several; undefined: none. */
  readonly folder: string | undefined
  readonly mdns: boolean
  /** Ranges in which every address is asked. */
  readonly scan: readonly string[]
  readonly scanEveryMs: number
  /** Where a server listens of which only the address is known. */
  readonly port: number
  /** What becomes of one that mDNS or a scan has found. */
  readonly accept: 'ask' | 'all'
}
