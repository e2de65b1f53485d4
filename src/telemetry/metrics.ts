import type { Metric, Registry } from 'prom-client'
import { Late } from '../core/late.ts'
import type { ExchangeEnded, Observer } from '../core/observer.ts'
import { type AgentFigures, agentMetrics } from './agent-metrics.ts'
import { continueMetrics } from './continue-metrics.ts'
import { decisionMetrics } from './decision-metrics.ts'
import { hedgeMetrics } from './hedge-metrics.ts'
import { reloadMetrics } from './reload-metrics.ts'
import { residencyMetrics } from './residency-metrics.ts'
import {
  type AnySeries,
  type MakeSeries,
  type Spread,
  Spreads,
  Tallies,
  type Tally,
} from './series.ts'
import { splitMetrics } from './split-metrics.ts'

/** Counts of the moment, asked for when somebody scrapes. */
export interface MetricsSnapshot {
  readonly queueByModel: Readonly<Record<string, number>>
  readonly queueOldestS: number
  /** Models that are routed without predictions, because these were bad. */
  readonly distrusted?: readonly string[]
  readonly endpoints: readonly {
    readonly name: string
    readonly state: string
    readonly up: boolean
    readonly breaker: string
    readonly version: string
    readonly tokensPerSecond: number | undefined
    readonly firstByteS: number | undefined
    readonly seats: readonly { model: string; used: number; limit: number }[]
    readonly onDisk: readonly string[]
    readonly inMemory: readonly {
      model: string
      bytes: number | undefined
      vram: number | undefined
    }[]
    readonly connections: { open: number; idle: number }
    /** As its agent said last; undefined where there is none. */
    readonly agent: AgentFigures | undefined
  }[]
  readonly heldBytes: { memory: number; disk: number }
}

export interface Metrics {
  readonly observer: Partial<Observer>
  /** Loads what makes the text, for those who would rather not wait later. */
  prepare(): void
  render(): Promise<{ contentType: string; text: string }>
}

const states = ['ready', 'warming', 'draining', 'resting', 'away', 'unknown'] as const
const breakerStates = ['admitting', 'resting', 'probation'] as const
/** Boundaries of the GenAI conventions, with a tail for machines that load for minutes. */
const durationBuckets = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
  327.68, 655.36,
]
const firstTokenBuckets = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 320,
]
const sizeBuckets = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 16_777_216, 268_435_456]
/** Models beyond this, and names that no backend knows, fold to `other`: every series costs memory here. */
const modelsMax = 500
/** Rendering thousands of series takes milliseconds of every stream's time; one text serves all who ask in a second. */
const renderEveryMs = 1_000

/** Where an exchange is counted. */
interface Rows {
  /** What these rows are of, beside the model and the backend. */
  readonly of: Pick<ExchangeEnded, 'family' | 'op' | 'ending' | 'priority'>
  readonly inFlight: Tally
  readonly requests: Tally
  readonly bodyIn: Spread
  readonly bodyOut: Spread
  readonly waited: Spread
  readonly served: Spread
  firstToken: Spread | undefined
  tokens: { readonly prompt: Tally; readonly completion: Tally } | undefined
}

/** Every number that there is, under the names that the documents give. Those of split mode and of reloads stand beside it. */
export function createMetrics(
  snapshot: () => MetricsSnapshot,
  build: { version: string; node: string },
  nowMs: () => number,
): Metrics {
  const all: AnySeries[] = []
  const noted = <S extends AnySeries>(series: S): S => {
    all.push(series)
    return series
  }
  const make: MakeSeries = {
    counter: (name, help, labelNames) => noted(new Tallies('counter', name, help, labelNames)),
    gauge: (name, help, labelNames) => noted(new Tallies('gauge', name, help, labelNames)),
    histogram: (name, help, labelNames, bounds) =>
      noted(new Spreads(bounds, name, help, labelNames)),
  }
  const { counter, gauge, histogram } = make

  gauge('chasqui_build_info', 'Version of this process', ['version', 'node']).row(
    build.version,
    build.node,
  ).value = 1
  const requests = counter('chasqui_requests_total', 'Finished requests', [
    'api',
    'op',
    'model',
    'backend',
    'outcome',
  ])
  const inFlight = gauge('chasqui_requests_in_flight', 'Accepted, not finished', ['api', 'op'])
  const bodyIn = histogram(
    'chasqui_request_body_bytes',
    'Sizes of requests',
    ['api', 'op'],
    sizeBuckets,
  )
  const bodyOut = histogram(
    'chasqui_response_body_bytes',
    'Sizes of answers',
    ['api', 'op'],
    sizeBuckets,
  )
  const substituted = counter(
    'chasqui_fallback_total',
    'Answers of another model than the one that was named',
    ['from_model', 'to_model', 'reason'],
  )
  const tokens = counter('chasqui_tokens_total', 'Counts from the backends', [
    'type',
    'model',
    'backend',
  ])
  const waited = histogram(
    'chasqui_queue_wait_seconds',
    'Wait before a seat',
    ['model', 'priority'],
    durationBuckets,
  )
  const rejected = counter('chasqui_queue_rejected_total', 'Turned away', ['reason'])
  const retries = counter('chasqui_retries_total', 'Attempts after the first', [
    'reason',
    'from_backend',
  ])
  const probeTook = histogram(
    'chasqui_backend_probe_duration_seconds',
    'How long probes take',
    ['backend'],
    firstTokenBuckets,
  )
  const turns = counter('chasqui_backend_breaker_transitions_total', 'Breakers changing state', [
    'backend',
    'to',
  ])
  const errors = counter('chasqui_backend_errors_total', 'Failed attempts', ['backend', 'kind'])
  const loads = counter(
    'chasqui_model_loads_total',
    'Loads; rescued: finished though nobody waited',
    ['backend', 'model', 'result'],
  )
  const loadTook = histogram(
    'chasqui_model_load_duration_seconds',
    'Cold loads',
    ['backend', 'model'],
    durationBuckets,
  )
  const genai = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model']
  const served = histogram(
    'gen_ai_server_request_duration_seconds',
    "The caller's view, first byte in to last byte out",
    [...genai, 'error_type'],
    durationBuckets,
  )
  const firstToken = histogram(
    'gen_ai_server_time_to_first_token_seconds',
    "The caller's wait for the first token",
    genai,
    firstTokenBuckets,
  )

  const depth = gauge('chasqui_queue_depth', 'Waiting now', ['model'])
  const oldest = gauge('chasqui_queue_oldest_seconds', 'Age of the one who waits longest', [])
  const distrusted = gauge(
    'chasqui_routing_predictions_distrusted',
    '1: predictions for the model were bad, so the least busy backend is picked',
    ['model'],
  )
  const state = gauge('chasqui_backend_state', 'One-hot', ['backend', 'state'])
  const up = gauge('chasqui_backend_up', 'Whether probes find it', ['backend'])
  const info = gauge('chasqui_backend_info', 'Versions', ['backend', 'version'])
  const breaker = gauge('chasqui_backend_breaker_state', 'One-hot', ['backend', 'state'])
  const seats = gauge('chasqui_backend_slots', 'Seats, learnt or configured', ['backend', 'model'])
  const used = gauge('chasqui_backend_slots_in_use', 'Seats taken', ['backend', 'model'])
  const speed = gauge('chasqui_backend_tokens_per_second', 'Speed of single streams', ['backend'])
  const ttft = gauge('chasqui_backend_expected_ttft_seconds', 'Time to the first token', [
    'backend',
  ])
  const installed = gauge('chasqui_model_installed', 'On disk', ['backend', 'model'])
  const resident = gauge('chasqui_model_resident', 'In memory', ['backend', 'model'])
  const memory = gauge('chasqui_model_memory_bytes', 'Taken by loaded models', [
    'backend',
    'model',
    'where',
  ])
  const connections = gauge('chasqui_backend_connections', 'Connections', ['backend', 'state'])
  const agents = agentMetrics(make)
  const held = gauge('chasqui_held_body_bytes', 'Requests held for a replay', ['where'])
  const momentary = [
    depth,
    oldest,
    distrusted,
    state,
    up,
    info,
    breaker,
    seats,
    used,
    speed,
    ttft,
    installed,
    resident,
    memory,
    connections,
    held,
    ...agents.momentary,
  ]

  const models = new Set<string>()
  const listed = (model: string) => {
    if (model === '' || models.has(model)) return model
    if (models.size >= modelsMax) return 'other'
    models.add(model)
    return model
  }
  const modelLabel = (model: string) => (model === '' || models.has(model) ? model : 'other')

  function takeSnapshot(): void {
    for (const each of momentary) each.clear()
    const now = snapshot()
    for (const { onDisk } of now.endpoints) for (const model of onDisk) listed(model)
    for (const [model, count] of Object.entries(now.queueByModel))
      depth.row(modelLabel(model)).value += count
    oldest.row().value = now.queueOldestS
    for (const model of now.distrusted ?? []) distrusted.row(modelLabel(model)).value = 1
    held.row('memory').value = now.heldBytes.memory
    held.row('disk').value = now.heldBytes.disk
    for (const endpoint of now.endpoints) {
      const backend = endpoint.name
      for (const each of states) state.row(backend, each).value = endpoint.state === each ? 1 : 0
      for (const each of breakerStates)
        breaker.row(backend, each).value = endpoint.breaker === each ? 1 : 0
      up.row(backend).value = endpoint.up ? 1 : 0
      info.row(backend, endpoint.version).value = 1
      if (endpoint.tokensPerSecond !== undefined)
        speed.row(backend).value = endpoint.tokensPerSecond
      if (endpoint.firstByteS !== undefined) ttft.row(backend).value = endpoint.firstByteS
      for (const row of endpoint.seats) {
        seats.row(backend, modelLabel(row.model)).value += row.limit
        used.row(backend, modelLabel(row.model)).value += row.used
      }
      for (const model of endpoint.onDisk) installed.row(backend, modelLabel(model)).value = 1
      for (const { model, bytes, vram } of endpoint.inMemory) {
        resident.row(backend, modelLabel(model)).value = 1
        if (bytes !== undefined && vram !== undefined) {
          memory.row(backend, modelLabel(model), 'vram').value += vram
          memory.row(backend, modelLabel(model), 'ram').value += Math.max(0, bytes - vram)
        }
      }
      const { open, idle } = endpoint.connections
      connections.row(backend, 'idle').value = idle
      connections.row(backend, 'active').value = Math.max(0, open - idle)
      if (endpoint.agent) agents.show(backend, endpoint.agent)
    }
  }

  /**
   * All rows that an exchange of one kind counts in, by model and backend; of each two there are few. One key made of
   * all six would be a new text for each exchange, read letter by letter to be found.
   */
  const rows = new Map<string, Map<string, Rows[]>>()
  const started: { readonly family: string; readonly op: string; readonly row: Tally }[] = []
  function rowsOf(fact: ExchangeEnded, model: string): Rows {
    const { family, op, backend, ending, priority } = fact
    const kinds = kindsOf(model, backend)
    let found = kinds.find(
      ({ of }) =>
        of.op === op && of.ending === ending && of.family === family && of.priority === priority,
    )
    if (!found) {
      const about = [operationOf(op), 'ollama', model] as const
      found = {
        of: { family, op, ending, priority },
        inFlight: inFlight.row(family, op),
        requests: requests.row(family, op, model, backend, ending),
        bodyIn: bodyIn.row(family, op),
        bodyOut: bodyOut.row(family, op),
        waited: waited.row(model, priority),
        served: served.row(...about, ending === 'ok' ? '' : ending),
        firstToken: undefined,
        tokens: undefined,
      }
      kinds.push(found)
    }
    // Made with the first number for them: a series of zeros would say that there was something to count.
    if (fact.firstByteMs !== undefined)
      found.firstToken ??= firstToken.row(operationOf(op), 'ollama', model)
    if (fact.figures)
      found.tokens ??= {
        prompt: tokens.row('prompt', model, backend),
        completion: tokens.row('completion', model, backend),
      }
    return found
  }

  function kindsOf(model: string, backend: string): Rows[] {
    const ofModel = rows.get(model) ?? new Map<string, Rows[]>()
    const kinds = ofModel.get(backend) ?? []
    if (kinds.length > 0) return kinds
    rows.set(model, ofModel)
    ofModel.set(backend, kinds)
    return kinds
  }

  function startedOf(family: string, op: string): Tally {
    const found = started.find((each) => each.op === op && each.family === family)
    if (found) return found.row
    const row = inFlight.row(family, op)
    started.push({ family, op, row })
    return row
  }

  const registry = new Late(() => makeRegistry(all))
  const textOf = (made: Registry) => {
    takeSnapshot()
    return made.metrics()
  }

  let rendered: { atMs: number; text: Promise<string> } | undefined

  return {
    observer: {
      ...continueMetrics(make),
      ...hedgeMetrics(make),
      ...decisionMetrics(make),
      ...splitMetrics(make),
      ...reloadMetrics(make),
      ...residencyMetrics(make),
      exchangeStarted(family, op) {
        startedOf(family, op).value++
      },
      exchangeEnded(fact) {
        // A name that nobody served is only a word of the client's: it earns no series of its own.
        const model = fact.ending === 'ok' ? listed(fact.model) : modelLabel(fact.model)
        if (fact.substitute && fact.ending === 'ok') {
          const { asked, why } = fact.substitute
          // Names of aliases and of models with a fallback are the operator's; a rule may be for any name that is asked.
          const from = why === 'rule' ? modelLabel(asked) : listed(asked)
          substituted.row(from, model, why).value++
        }
        const row = rowsOf(fact, model)
        row.inFlight.value--
        row.requests.value++
        row.bodyIn.observe(fact.bytesIn)
        row.bodyOut.observe(fact.bytesOut)
        row.waited.observe(fact.waitMs / 1_000)
        row.served.observe(fact.totalMs / 1_000)
        if (fact.firstByteMs !== undefined) row.firstToken?.observe(fact.firstByteMs / 1_000)
        if (fact.figures && row.tokens) {
          row.tokens.prompt.value += fact.figures.promptTokens
          row.tokens.completion.value += fact.figures.outputTokens
        }
        const reason = rejectedFor[fact.code ?? '']
        if (reason !== undefined) rejected.row(reason).value++
      },
      retried(backend, reason) {
        retries.row(reason, backend).value++
      },
      probed: (backend, tookMs) => probeTook.row(backend).observe(tookMs / 1_000),
      breakerTurned(backend, _model, to) {
        turns.row(backend, to).value++
      },
      backendErred(backend, kind) {
        errors.row(backend, kind).value++
      },
      loaded(backend, model, result, tookMs) {
        const label = result === 'error' ? modelLabel(model) : listed(model)
        loads.row(backend, label, result).value++
        if (result !== 'error') loadTook.row(backend, label).observe(tookMs / 1_000)
      },
    },
    prepare: () => registry.prepare(),
    async render() {
      const atMs = nowMs()
      if (rendered === undefined || atMs - rendered.atMs >= renderEveryMs) {
        rendered = { atMs, text: registry.get().then(textOf) }
      }
      const { contentType } = await registry.get()
      return { contentType, text: await rendered.text }
    },
  }
}

/** The library makes the text, and knows what there is to say of a Node process; the start does not wait for it. */
async function makeRegistry(all: readonly AnySeries[]): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({
    register: registry,
    eventLoopMonitoringPrecision: 20,
    // Ten times a second, as it is by itself, would cost a percent of a busy core.
    eventLoopUtilizationTimeout: 1_000,
  })
  // It asks for no more of a metric than what a series has.
  for (const series of all) registry.registerMetric(series as unknown as Metric)
  return registry
}

const rejectedFor: Readonly<Record<string, string>> = {
  queue_full: 'full',
  all_busy: 'full',
  queue_share_full: 'share',
  queue_timeout: 'timeout',
  deadline_hopeless: 'deadline',
  all_away: 'no_backend',
  model_away: 'no_backend',
  no_backend: 'no_backend',
}

function operationOf(op: string): string {
  switch (op) {
    case 'chat':
    case 'responses':
      return 'chat'
    case 'generate':
      return 'text_completion'
    case 'embed':
      return 'embeddings'
    default:
      return op
  }
}
