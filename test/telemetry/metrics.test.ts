import { describe, expect, it } from 'vitest'
import { createMetrics, type MetricsSnapshot } from '../../src/telemetry/metrics.ts'
import { exchangeEnded } from './facts.ts'

const walnut = {
  name: 'walnut',
  state: 'ready',
  up: true,
  breaker: 'admitting',
  version: '0.33.0',
  tokensPerSecond: 41.5,
  firstByteS: 0.25,
  seats: [{ model: 'm:latest', used: 2, limit: 4 }],
  onDisk: ['m:latest', 'n:latest'],
  inMemory: [{ model: 'm:latest', bytes: 1_000, vram: 600 }],
  connections: { open: 3, idle: 1 },
  agent: {
    queue: 5,
    hidden: null,
    cpu: { cores: 8, load1: 1, use: 0.25 },
    memory: { total_bytes: 64, free_bytes: null },
    gpus: [{ name: 'card', memory_total_bytes: 24, memory_used_bytes: 3, use: null }],
  },
} satisfies MetricsSnapshot['endpoints'][number]

function metricsOf(more: Partial<MetricsSnapshot> = {}) {
  let nowMs = 0
  const shown: { now: MetricsSnapshot } = {
    now: {
      queueByModel: { 'm:latest': 3 },
      queueOldestS: 1.5,
      endpoints: [walnut],
      heldBytes: { memory: 10, disk: 20 },
      ...more,
    },
  }
  const metrics = createMetrics(
    () => shown.now,
    { version: '1.2.3', node: 'v24' },
    () => nowMs,
  )
  return {
    observer: metrics.observer,
    shown,
    /** The text a second later, so that it is made anew. */
    async text() {
      nowMs += 1_000
      return (await metrics.render()).text
    },
    render: metrics.render,
  }
}

describe('the metrics', () => {
  it('names the models that are routed without predictions', async () => {
    const { text } = metricsOf({ distrusted: ['m:latest'] })
    expect(await text()).toContain('chasqui_routing_predictions_distrusted{model="m:latest"} 1')
  })

  it('have every number of the moment under its name', async () => {
    const text = await metricsOf().text()
    for (const line of [
      'chasqui_build_info{version="1.2.3",node="v24"} 1',
      'chasqui_queue_depth{model="m:latest"} 3',
      'chasqui_queue_oldest_seconds 1.5',
      'chasqui_backend_state{backend="walnut",state="ready"} 1',
      'chasqui_backend_state{backend="walnut",state="away"} 0',
      'chasqui_backend_up{backend="walnut"} 1',
      'chasqui_backend_info{backend="walnut",version="0.33.0"} 1',
      'chasqui_backend_breaker_state{backend="walnut",state="admitting"} 1',
      'chasqui_backend_breaker_state{backend="walnut",state="probation"} 0',
      'chasqui_backend_slots{backend="walnut",model="m:latest"} 4',
      'chasqui_backend_slots_in_use{backend="walnut",model="m:latest"} 2',
      'chasqui_backend_tokens_per_second{backend="walnut"} 41.5',
      'chasqui_backend_expected_ttft_seconds{backend="walnut"} 0.25',
      'chasqui_model_installed{backend="walnut",model="n:latest"} 1',
      'chasqui_model_resident{backend="walnut",model="m:latest"} 1',
      'chasqui_model_memory_bytes{backend="walnut",model="m:latest",where="vram"} 600',
      'chasqui_model_memory_bytes{backend="walnut",model="m:latest",where="ram"} 400',
      'chasqui_backend_connections{backend="walnut",state="active"} 2',
      'chasqui_backend_connections{backend="walnut",state="idle"} 1',
      'chasqui_held_body_bytes{where="disk"} 20',
      'chasqui_agent_queue_depth{backend="walnut"} 5',
      'chasqui_agent_cpu_use{backend="walnut"} 0.25',
      'chasqui_agent_memory_bytes{backend="walnut",state="total"} 64',
      'chasqui_agent_gpu_memory_bytes{backend="walnut",gpu="0",state="used"} 3',
    ])
      expect(text).toContain(line)
  })

  it('count every exchange, with its tokens, its waits and its sizes', async () => {
    const { observer, text } = metricsOf()
    observer.exchangeStarted?.('ollama', 'chat')
    observer.exchangeStarted?.('ollama', 'chat')
    observer.exchangeEnded?.(exchangeEnded())
    const shown = await text()
    for (const line of [
      'chasqui_requests_total{api="ollama",op="chat",model="m:latest",backend="walnut",outcome="ok"} 1',
      'chasqui_requests_in_flight{api="ollama",op="chat"} 1',
      'chasqui_tokens_total{type="prompt",model="m:latest",backend="walnut"} 26',
      'chasqui_tokens_total{type="completion",model="m:latest",backend="walnut"} 98',
      'chasqui_request_body_bytes_count{api="ollama",op="chat"} 1',
      'chasqui_response_body_bytes_sum{api="ollama",op="chat"} 5000',
      'chasqui_queue_wait_seconds_count{model="m:latest",priority="normal"} 1',
    ])
      expect(shown).toContain(line)
    expect(shown).toMatch(
      /gen_ai_server_request_duration_seconds_bucket\{le="655\.36",gen_ai_operation_name="chat",gen_ai_provider_name="ollama",gen_ai_request_model="m:latest",error_type=""\} 1/,
    )
    expect(shown).toMatch(/gen_ai_server_time_to_first_token_seconds_bucket\{le="0\.5",.*\} 1/)
  })

  it('name who was replaced where the operator named it, and no word of a client', async () => {
    const { observer, text } = metricsOf()
    const replaced = (asked: string, why: 'alias' | 'fallback' | 'rule') =>
      observer.exchangeEnded?.(exchangeEnded({ ending: 'ok', substitute: { asked, why } }))
    replaced('gpt-4:latest', 'alias')
    replaced('large:latest', 'fallback')
    replaced('any word:latest', 'rule')
    const shown = await text()
    for (const [from, why] of [
      ['gpt-4:latest', 'alias'],
      ['large:latest', 'fallback'],
      ['other', 'rule'],
    ])
      expect(shown).toMatch(
        new RegExp(`chasqui_fallback_total\\{from_model="${from}",[^}]*reason="${why}"`),
      )
    expect(shown).not.toContain('any word')
  })

  it('count what goes wrong by its kind', async () => {
    const { observer, text } = metricsOf()
    observer.exchangeEnded?.(exchangeEnded({ ending: 'shed', code: 'queue_full' }))
    observer.exchangeEnded?.(exchangeEnded({ ending: 'queue_timeout', code: 'queue_timeout' }))
    observer.exchangeEnded?.(exchangeEnded({ ending: 'rejected', code: 'all_away' }))
    observer.exchangeEnded?.(exchangeEnded({ ending: 'shed', code: 'queue_share_full' }))
    observer.exchangeEnded?.(exchangeEnded({ ending: 'shed', code: 'deadline_hopeless' }))
    observer.retried?.('walnut', 'unreachable')
    observer.backendErred?.('walnut', 'timedOut')
    observer.breakerTurned?.('walnut', undefined, 'resting')
    observer.probed?.('walnut', 20, false)
    observer.loaded?.('walnut', 'm:latest', 'rescued', 4_000)
    const shown = await text()
    for (const line of [
      'chasqui_queue_rejected_total{reason="full"} 1',
      'chasqui_queue_rejected_total{reason="timeout"} 1',
      'chasqui_queue_rejected_total{reason="no_backend"} 1',
      'chasqui_queue_rejected_total{reason="share"} 1',
      'chasqui_queue_rejected_total{reason="deadline"} 1',
      'chasqui_retries_total{reason="unreachable",from_backend="walnut"} 1',
      'chasqui_backend_errors_total{backend="walnut",kind="timedOut"} 1',
      'chasqui_backend_breaker_transitions_total{backend="walnut",to="resting"} 1',
      'chasqui_backend_probe_duration_seconds_count{backend="walnut"} 1',
      'chasqui_model_loads_total{backend="walnut",model="m:latest",result="rescued"} 1',
      'chasqui_model_load_duration_seconds_sum{backend="walnut",model="m:latest"} 4',
    ])
      expect(shown).toContain(line)
  })

  it('fold ten thousand names that no backend has to one label, without losing a count', async () => {
    const { observer, text } = metricsOf()
    for (let each = 0; each < 10_000; each++)
      observer.exchangeEnded?.(
        exchangeEnded({
          model: `made-up-${each}`,
          backend: '',
          ending: 'bad_request',
          status: 404,
        }),
      )
    observer.exchangeEnded?.(exchangeEnded({ model: 'n:latest' }))
    const shown = await text()
    expect(shown).not.toContain('made-up')
    expect(shown).toContain(
      'chasqui_requests_total{api="ollama",op="chat",model="other",backend="",outcome="bad_request"} 10000',
    )
    expect(shown).toContain('model="n:latest",backend="walnut",outcome="ok"} 1')
  })

  it('fold what a backend with ten thousand models lists beyond a bound, and add it up', async () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `m${index}:latest`)
    const seats = names.map((model) => ({ model, used: 1, limit: 2 }))
    const endpoint = { ...walnut, onDisk: names, seats }
    const queueByModel = Object.fromEntries(names.map((name) => [name, 1]))
    const { observer, text } = metricsOf({ endpoints: [endpoint], queueByModel })
    for (const model of names) observer.exchangeEnded?.(exchangeEnded({ model }))
    const shown = await text()
    const labels = new Set([...shown.matchAll(/model="([^"]*)"/g)].map(([, model]) => model))
    expect(labels.size).toBeLessThanOrEqual(501)
    const other = /chasqui_queue_depth\{model="other"\} (\d+)/.exec(shown)
    expect(Number(other?.[1])).toBeGreaterThanOrEqual(9_500)
    expect(shown).toContain('chasqui_backend_slots{backend="walnut",model="other"} 19000')
  })

  it('have no series for what an agent does not know', async () => {
    const text = await metricsOf().text()
    expect(text).not.toMatch(/chasqui_agent_(hidden_requests|gpu_use)\{|state="free"/)
    const without = await metricsOf({ endpoints: [{ ...walnut, agent: undefined }] }).text()
    expect(without).not.toContain('chasqui_agent_queue_depth{')
  })

  it('forget a backend that is gone, and a version that was', async () => {
    const { shown, text } = metricsOf()
    await text()
    shown.now = { ...shown.now, endpoints: [{ ...walnut, name: 'oak', version: '0.34.0' }] }
    const now = await text()
    expect(now).toContain('chasqui_backend_info{backend="oak",version="0.34.0"} 1')
    expect(now).not.toMatch(/chasqui_backend_(info|up|state)\{backend="walnut"/)
  })

  it('are made once for all who ask in the same second', async () => {
    const { render, shown, text } = metricsOf()
    const first = await text()
    shown.now = { ...shown.now, queueOldestS: 99 }
    expect((await render()).text).toBe(first)
    expect(await text()).toContain('chasqui_queue_oldest_seconds 99')
  })

  it('never carry a tenant, a request id or a text', async () => {
    const { observer, text } = metricsOf()
    observer.exchangeEnded?.(exchangeEnded({ id: 'secret-id', tenant: 'secret-tenant' }))
    expect(await text()).not.toContain('secret')
  })
})
