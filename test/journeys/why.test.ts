import { describe, expect, it } from 'vitest'
import { routeExplain, why } from '../../src/cli/why.ts'
import { until } from '../help/until.ts'
import { startCalmFleet } from './routing-fleet.ts'

const short = { models: ['m'], answerTokens: 5 }

function send(
  url: string,
  id: string,
  {
    model = 'm',
    headers = {},
  }: { model?: string; headers?: Readonly<Record<string, string>> } = {},
): Promise<Response> {
  return fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'x-request-id': id, ...headers },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] }),
  })
}

async function chat(url: string, id: string, model = 'm'): Promise<void> {
  const answer = await send(url, id, { model })
  await answer.text()
  expect(answer.status).toBe(200)
}

async function read(url: string): Promise<Record<string, unknown>> {
  return (await (await fetch(url)).json()) as Record<string, unknown>
}

/** What a command writes for pipes, line by line, and its exit code. */
async function said(command: () => Promise<number>): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = []
  const write = process.stdout.write
  process.stdout.write = (text: string | Uint8Array) => {
    lines.push(...String(text).trimEnd().split('\n'))
    return true
  }
  try {
    return { code: await command(), lines }
  } finally {
    process.stdout.write = write
  }
}

describe('why a request went where it went', () => {
  it('is told by its id: candidates with their costs in seconds, and who was none', async () => {
    await using fleet = await startCalmFleet({
      simulators: [short, short, { ...short, models: ['other'] }],
    })
    await chat(fleet.url, 'one')
    await until(() => fleet.ended.length === 1)
    const answer = await fetch(`${fleet.url}/api/distributed/decisions/one`)
    const { decisions } = (await answer.json()) as { decisions: Record<string, unknown>[] }
    expect(decisions).toHaveLength(1)
    expect(decisions[0]).toMatchObject({
      id: 'one',
      model: 'm:latest',
      picker: 'expected-completion',
      backend: fleet.ended[0]?.backend,
      barred: [{ backend: 'c', reason: 'noModel' }],
      took_s: expect.any(Number),
    })
    expect(decisions[0]?.['candidates']).toHaveLength(2)

    const told = await said(() => why('one', fleet.url, false, {}))
    expect(told.code).toBe(0)
    expect(told.lines[0]).toContain(`m:latest went to ${fleet.ended[0]?.backend}`)
    expect(told.lines.join('\n')).toContain('decode')
    expect(told.lines.at(-1)).toContain('it has no such model')
    const json = await said(() => why('one', fleet.url, true, {}))
    expect(JSON.parse(json.lines.join(''))).toMatchObject({ id: 'one' })

    const unknown = await fetch(`${fleet.url}/api/distributed/decisions/nobody`)
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({ code: 'decision_unknown' })
  })

  // An answer of 200 tokens once stood in the costs of models that only make embeddings: six seconds at each machine.
  it('reckons with no answer where a model only makes embeddings', async () => {
    await using fleet = await startCalmFleet({ simulators: [{ ...short, models: ['all-minilm'] }] })
    const answer = await fetch(`${fleet.url}/api/distributed/route?model=all-minilm&tokens=100`)
    const { candidates } = (await answer.json()) as { candidates: { terms_s: object }[] }
    expect(candidates[0]!.terms_s).toMatchObject({ prefill: expect.any(Number) })
    expect(candidates[0]!.terms_s).not.toHaveProperty('decode')
  })

  it('can be asked before: where a request would go now, and that changes nothing', async () => {
    await using fleet = await startCalmFleet({ simulators: [short] })
    const asked = async (query: string) => {
      const answer = await fetch(`${fleet.url}/api/distributed/route?${query}`)
      return { status: answer.status, body: await answer.json() }
    }
    expect((await asked('model=m&tokens=2000')).body).toMatchObject({
      would: 'start',
      backend: 'a',
    })
    expect((await asked('model=x')).body).toMatchObject({
      would: 'refuse',
      reason: "model 'x' not found",
      barred: [{ backend: 'a', reason: 'noModel' }],
    })
    expect((await asked('tokens=5')).status).toBe(400)
    expect((await asked('model=m&tokens=-1')).status).toBe(400)
    expect(fleet.app.pool.endpoints[0]?.inFlight).toBe(0)
    const told = await said(() => routeExplain('m', 2_000, fleet.url, false, {}))
    expect([told.code, told.lines[0]]).toEqual([0, expect.stringContaining('would go to a')])
    expect((await said(() => routeExplain('x', undefined, fleet.url, false, {}))).code).toBe(1)
  })
})

describe('what aliases, fallbacks and rules make of a request', () => {
  const config = `
models:
  aliases: { known-as: real }
  fallbacks: { missing: [real] }
rules:
  - { when: { model: kept }, only: b }
  - { when: { model: kept, tenant: "key:*" }, never: b }
  - { when: { model: barred }, never: [a, b] }
  - { when: { model: large }, use_model: real, priority: batch }
`
  const startRuled = () => {
    const server = { models: ['real', 'kept', 'barred', 'large'], answerTokens: 5 }
    return startCalmFleet({ simulators: [server, server], config })
  }

  // An alias that was answered could be "served by nobody", and a request went to `b` by a rule while "would go to a"
  // was said. The question had been asked of the names as they were written, and of no rule.
  it('is told before: the same model and the same place as a request of nobody in particular gets', async () => {
    await using fleet = await startRuled()
    const told = async (model: string) => {
      const { code, lines } = await said(() => routeExplain(model, undefined, fleet.url, false, {}))
      return { code, text: lines.join('\n') }
    }
    const alias = await told('known-as')
    expect(alias.code).toBe(0)
    expect(alias.text).toMatch(/^real:latest would go to [ab]/)
    expect(alias.text).toContain('known-as:latest stands for real:latest')
    const fallback = await told('missing')
    expect(fallback.text).toMatch(/^real:latest would go to [ab]/)
    expect(fallback.text).toContain('nobody can serve missing:latest, real:latest stands in')
    const other = await told('large')
    expect(other.text).toMatch(/^real:latest would go to [ab]/)
    expect(other.text).toContain('real:latest answers for large:latest')
    expect(other.text).toContain('rule 4: use_model real')
    const only = await told('kept')
    expect(only.text).toMatch(/^kept:latest would go to b/)
    expect(only.text).toContain('by rule 1: only b\n')
    const barred = await told('barred')
    expect([barred.code, barred.text]).toEqual([
      1,
      expect.stringContaining("no backend may serve model 'barred' for this request (rules)"),
    ])
    expect(barred.text).toContain('by rule 3: never a, b')
    expect(await read(`${fleet.url}/api/distributed/route?model=known-as`)).toMatchObject({
      would: 'start',
      model: 'real:latest',
      substitute: { asked: 'known-as:latest', why: 'alias' },
      rules: [],
    })
  })

  // The figures of a request were shown, and not that a model had answered that nobody had asked for.
  it('is told afterwards', async () => {
    await using fleet = await startRuled()
    for (const [id, model] of Object.entries({ one: 'known-as', two: 'missing', three: 'large' }))
      await chat(fleet.url, id, model)
    await chat(fleet.url, 'four', 'kept')
    const told = async (id: string) =>
      (await said(() => why(id, fleet.url, false, {}))).lines.join('\n')
    expect(await told('one')).toContain('known-as:latest stands for real:latest')
    expect(await told('two')).toContain('nobody can serve missing:latest, real:latest stands in')
    expect(await told('three')).toMatch(/real:latest answers for large.*\n {2}by rule 4: use_model/)
    expect(await told('four')).toContain('by rule 1: only b\n')
  })
})

describe('a request that was given no answer', () => {
  // Of what was refused "nothing is kept" was said, which is when an operator asks.
  it('is told with the words that its client had, and why each backend was none', async () => {
    await using fleet = await startCalmFleet({
      simulators: [short, { ...short, models: ['other'] }],
      config: 'rules: [{ when: { tenant: "key:*" }, never: a }]',
    })
    const guest = { authorization: 'Bearer guest' }
    expect((await send(fleet.url, 'unknown', { model: 'x' })).status).toBe(404)
    expect((await send(fleet.url, 'ruled', { headers: guest })).status).toBe(403)
    expect(await read(`${fleet.url}/api/distributed/decisions/ruled`)).toMatchObject({
      id: 'ruled',
      decisions: [],
      waiting: null,
      refusals: [
        {
          model: 'm:latest',
          code: 'ruled_out',
          reason: "no backend may serve model 'm' for this request (rules)",
          rules: ['rule 1: never a'],
          barred: [
            { backend: 'a', reason: 'ruledOut' },
            { backend: 'b', reason: 'noModel' },
          ],
        },
      ],
    })
    const told = await said(() => why('unknown', fleet.url, false, {}))
    expect(told.code).toBe(0)
    expect(told.lines[0]).toContain("model 'x' not found (model_unknown)")
    expect(told.lines.slice(1)).toEqual([
      '  - a  it has no such model',
      '  - b  it has no such model',
    ])
  })

  it('is told where the line was full, or its deadline came while it waited', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, answerTokens: 40_000, slots: 1 }],
      backend: (backend) => ({ ...backend, slots: 1, slotsTotal: 1 }),
      config: 'queue: { max: 1 }',
    })
    const leaving = new AbortController()
    const body = JSON.stringify({ model: 'm', prompt: 'long' })
    const { signal } = leaving
    const long = fetch(`${fleet.url}/api/generate`, { method: 'POST', body, signal })
    await until(() => fleet.app.pool.endpoint('a')!.inFlight === 1)
    const late = send(fleet.url, 'late', { headers: { 'x-chasqui-deadline': '2s' } })
    await until(() => fleet.app.queue.size === 1)
    expect((await send(fleet.url, 'much')).status).toBe(503)
    const codeOf = async (id: string) => {
      const { refusals } = await read(`${fleet.url}/api/distributed/decisions/${id}`)
      return (refusals as { code: string }[]).map(({ code }) => code)
    }
    expect(await codeOf('much')).toEqual(['queue_full'])
    expect((await late).status).toBe(504)
    expect(await codeOf('late')).toEqual(['total_timeout'])
    leaving.abort()
    await long.then((answer) => answer.text()).catch(() => {})
  })
})

describe('a request that waits', () => {
  // One that stood in `/queue-status` was unknown to `why`.
  it('is told with its place in line and the seat that it waits for', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, answerTokens: 40_000, slots: 1 }],
      backend: (backend) => ({ ...backend, slots: 1, slotsTotal: 1 }),
    })
    const leaving = new AbortController()
    const { signal } = leaving
    const asks = ['runs', 'first', 'second'].map((id) =>
      fetch(`${fleet.url}/api/chat`, {
        ...{ method: 'POST', headers: { 'x-request-id': id }, signal },
        body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] }),
      }).catch(() => {}),
    )
    await until(() => fleet.app.queue.size === 2)
    const waiting = await read(`${fleet.url}/api/distributed/decisions/second`)
    expect(waiting).toMatchObject({
      decisions: [],
      refusals: [],
      waiting: { id: 'second', position: expect.any(Number), now: { would: 'wait', backend: 'a' } },
    })
    const told = await said(() => why('first', fleet.url, false, {}))
    expect([told.code, told.lines[0]]).toEqual([
      0,
      expect.stringMatching(/^m:latest waits in place [12] of the line \(normal\)/),
    ])
    leaving.abort()
    await Promise.all(asks)
  })

  // While a load was put off with every seat idle, "no seat is free" was said, and `refuse` in JSON.
  it('for a load that is put off is told so, before and while it waits', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ models: ['m', 'n'], answerTokens: 5, maxLoaded: 1, loadMs: 2_000 }],
    })
    const loading = send(fleet.url, 'loads', { model: 'n' })
    await until(() => fleet.app.pool.endpoint('a')!.inFlight === 1)
    const route = () => read(`${fleet.url}/api/distributed/route?model=m`)
    const putOff = {
      would: 'wait',
      in_s: null,
      reason: 'its load is put off',
      hindered: [{ backend: 'a', reason: 'noLoad' }],
    }
    await until(async () => (await route())['in_s'] === null)
    expect(await route()).toMatchObject(putOff)
    const told = await said(() => routeExplain('m', undefined, fleet.url, false, {}))
    expect([told.code, told.lines]).toEqual([
      0,
      [
        'm:latest would wait: its load is put off',
        '    a  the model is not in memory there, and its load is put off',
      ],
    ])
    const waits = send(fleet.url, 'waits')
    await until(() => fleet.app.queue.size === 1)
    expect(await read(`${fleet.url}/api/distributed/decisions/waits`)).toMatchObject({
      waiting: { position: 1, now: putOff },
    })
    for (const asked of [loading, waits]) expect((await asked).status).toBe(200)
  })

  it('for nobody, since there is no backend at all, would be refused in the words of a refusal', async () => {
    await using fleet = await startCalmFleet({ simulators: [] })
    const told = await said(() => routeExplain('m', undefined, fleet.url, false, {}))
    expect([told.code, told.lines]).toEqual([
      1,
      ['m:latest would be refused: no backend is configured'],
    ])
  })
})
