import { describe, expect, it } from 'vitest'
import { routeExplain, why } from '../../src/cli/why.ts'
import { until } from '../help/until.ts'
import { startCalmFleet } from './routing-fleet.ts'

const short = { models: ['m'], answerTokens: 5 }

async function chat(url: string, id: string): Promise<void> {
  const answer = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'x-request-id': id },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] }),
  })
  await answer.text()
  expect(answer.status).toBe(200)
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
