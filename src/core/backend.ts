/** A server as configured: frozen data. In service it becomes an Endpoint (pool). */
export interface Backend {
  /** Unique in the fleet; the word that operators, logs, metrics and headers use. */
  readonly name: string
  /** Scheme, host and port, without a slash at the end. */
  readonly origin: string
  /** A path before Ollama's own paths, such as `/gpu1`; empty for almost everyone. */
  readonly pathPrefix: string
  /** Requests in flight at once for a model: one number, a map by canonical model name, or undefined to learn it. */
  readonly slots: number | ReadonlyMap<string, number> | undefined
  /** Requests in flight at once over all models. */
  readonly slotsTotal: number | undefined
  /** For the weighted picker; 1 unless said otherwise. */
  readonly weight: number
  readonly labels: readonly string[]
  /** Sent with every request to this backend: for servers behind a login. Secret. */
  readonly headers: Readonly<Record<string, string>>
  /** Memory for models in bytes, where the operator said so: what `manage.pull: fit` compares with. */
  readonly memoryBytes: number | undefined
  /** Context length in tokens that this server gives a model that is not loaded; undefined: Ollama's smallest, 4096. */
  readonly contextDefault: number | undefined
  /** Whoever answers there is believed to be it: its certificate is not looked at. */
  readonly insecure: boolean
  /** What it may serve, by patterns in which a `*` stands for any text; undefined: everything. */
  readonly models?:
    | { readonly allow: readonly string[]; readonly deny: readonly string[] }
    | undefined
  /** Set where an agent stands before it that has joined this proxy. */
  readonly agent: AgentLink | undefined
}

/** What a member that is an agent is known by. */
export interface AgentLink {
  /** One run of the agent's process. */
  readonly instance: string
  /** Sent with what is forwarded, so that the agent knows whose it is. Secret. */
  readonly tag: string
}

/** A server of which nothing is said but where it is. */
export function backendAt(name: string, origin: string): Backend {
  return {
    name,
    origin,
    pathPrefix: '',
    slots: undefined,
    slotsTotal: undefined,
    weight: 1,
    labels: [],
    headers: {},
    memoryBytes: undefined,
    contextDefault: undefined,
    insecure: false,
    agent: undefined,
  }
}
