import { describe, expect, it } from 'vitest'
import type { Fleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import { startCalmFleet } from './routing-fleet.ts'

async function chat(
  { url }: Pick<Fleet, 'url'>,
  model: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] }),
  })
  return { status: answer.status, text: await answer.text() }
}

/** The backends that answered, in order, one letter each. */
const backendsOf = (fleet: Fleet) => fleet.ended.map(({ backend }) => backend).join('')
const countOf = (text: string, name: string) => text.split(name).length - 1

/** After this every backend has the model loaded, and is known to. */
async function warm(fleet: Fleet, model: string): Promise<void> {
  for (const { url } of fleet.simulators)
    await fetch(`${url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({ model, stream: false }),
    })
  for (const endpoint of fleet.app.pool.endpoints) endpoint.learnLoaded(`${model}:latest`)
}

const short = { models: ['m'], answerTokens: 5 }

describe('requests', () => {
  it('one after another go round over equal backends', async () => {
    await using fleet = await startCalmFleet({
      simulators: [short, short, short],
      config: 'routing: {picker: least-busy}',
    })
    await warm(fleet, 'm')
    for (let each = 0; each < 12; each++) expect((await chat(fleet, 'm')).status).toBe(200)
    const served = backendsOf(fleet)
    expect([...'abc'].map((name) => countOf(served, name))).toEqual([4, 4, 4])
  })

  it('at the same time spread over equal backends', async () => {
    const slow = { models: ['m'], answerTokens: 100, decodeTokensPerSecond: 500 }
    await using fleet = await startCalmFleet({
      simulators: [slow, slow, slow],
      backend: (backend) => ({ ...backend, slots: 1 }),
    })
    await warm(fleet, 'm')
    await Promise.all([chat(fleet, 'm'), chat(fleet, 'm'), chat(fleet, 'm')])
    expect([...backendsOf(fleet)].sort().join('')).toBe('abc')
  })

  it('for a model on one backend never hold up those for the others', async () => {
    await using fleet = await startCalmFleet({
      simulators: [
        { models: ['rare', 'm'], answerTokens: 500, decodeTokensPerSecond: 500 },
        { ...short, models: ['m'] },
      ],
      backend: (backend) => ({ ...backend, slots: 1, slotsTotal: 1 }),
    })
    const rare = Array.from({ length: 4 }, () => chat(fleet, 'rare'))
    await until(() => fleet.app.queue.size === 3)
    for (let each = 0; each < 10; each++) expect((await chat(fleet, 'm')).status).toBe(200)
    const common = fleet.ended.filter(({ model }) => model === 'm:latest')
    expect(common.map(({ backend }) => backend).join('')).toBe('b'.repeat(10))
    for (const { status } of await Promise.all(rare)) expect(status).toBe(200)
  })

  it('leave a drained backend alone, while what runs there ends, and come back', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, answerTokens: 700, decodeTokensPerSecond: 500 }, short],
    })
    const { pool } = fleet.app
    const [a] = pool.endpoints
    const running = chat(fleet, 'm')
    await until(() => a?.inFlight === 1)
    pool.setEnabled(a!, false)
    for (let each = 0; each < 5; each++) await chat(fleet, 'm')
    expect(backendsOf(fleet)).toBe('bbbbb')
    expect((await running).status).toBe(200)
    pool.setEnabled(a!, true)
    pool.setEnabled(pool.endpoints[1]!, false)
    await chat(fleet, 'm')
    expect(backendsOf(fleet)).toBe('bbbbbaa')
  })

  it('wait for a drained backend when only it has the model, and are served when it resumes', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, answerTokens: 150, decodeTokensPerSecond: 500 }],
      backend: (backend) => ({ ...backend, slots: 1 }),
    })
    const { pool, queue } = fleet.app
    const both = [chat(fleet, 'm'), chat(fleet, 'm')]
    await until(() => queue.size === 1)
    pool.setEnabled(pool.endpoints[0]!, false)
    await until(() => fleet.ended.length === 1)
    expect(queue.size).toBe(1)
    pool.setEnabled(pool.endpoints[0]!, true)
    for (const { status } of await Promise.all(both)) expect(status).toBe(200)
  })

  it('with X-Chasqui-Labels go only to backends that carry them all', async () => {
    await using fleet = await startCalmFleet({
      simulators: [short, short, short],
      backend: (backend, index) => ({
        ...backend,
        labels: [['gpu'], ['gpu', 'eu'], ['eu']][index]!,
      }),
    })
    for (let each = 0; each < 4; each++) await chat(fleet, 'm', { 'x-chasqui-labels': 'gpu, eu' })
    for (let each = 0; each < 4; each++) await chat(fleet, 'm', { 'x-chasqui-labels': 'gpu' })
    const served = backendsOf(fleet)
    expect(served.slice(0, 4)).toBe('bbbb')
    expect(countOf(served.slice(4), 'c')).toBe(0)
    const none = await chat(fleet, 'm', { 'x-chasqui-labels': 'moon' })
    expect([none.status, none.text]).toEqual([400, expect.stringContaining('labels')])
  })

  it('with X-Chasqui-Work follow the order for that work, else the least busy', async () => {
    await using fleet = await startCalmFleet({
      simulators: [short, short, short],
      settings: (settings) => ({
        ...settings,
        routing: { ...settings.routing, picker: 'capability', preferences: { code: ['c', 'b'] } },
      }),
    })
    await warm(fleet, 'm')
    const code = { 'x-chasqui-work': 'code' }
    for (let each = 0; each < 3; each++) await chat(fleet, 'm', code)
    fleet.app.pool.setEnabled(fleet.app.pool.endpoint('c')!, false)
    for (let each = 0; each < 3; each++) await chat(fleet, 'm', code)
    fleet.app.pool.setEnabled(fleet.app.pool.endpoint('c')!, true)
    expect(backendsOf(fleet)).toBe('cccbbb')
    for (let each = 0; each < 9; each++) await chat(fleet, 'm', { 'x-chasqui-work': 'poetry' })
    const served = backendsOf(fleet).slice(6)
    for (const name of 'abc') expect(countOf(served, name)).toBeGreaterThanOrEqual(2)
  })

  it('for what no copy of the model can do get the words of Ollama', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ models: ['all-minilm', 'm'] }, { models: ['all-minilm'] }],
    })
    const direct = await fetch(`${fleet.simulators[0]?.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify({ model: 'all-minilm', messages: [{ role: 'user', content: 'hello' }] }),
    })
    const through = await chat(fleet, 'all-minilm')
    expect(through).toEqual({ status: direct.status, text: await direct.text() })
    expect(through.status).toBe(400)
    expect(through.text).toContain('does not support chat')
  })

  it('soon leave a backend alone that fails at once, though its probes are well', async () => {
    const turned: string[] = []
    await using fleet = await startCalmFleet({
      doors: {
        observer: {
          breakerTurned: (name, model, state) =>
            void turned.push(`${name} ${model ?? '*'} ${state}`),
        },
      },
      simulators: [
        { ...short, faults: [{ kind: 'busy' }] },
        { ...short, answerTokens: 20 },
      ],
      backend: (backend) => ({ ...backend, slots: 1 }),
    })
    const answers = await Promise.all(Array.from({ length: 60 }, () => chat(fleet, 'm')))
    expect(answers.filter(({ status }) => status !== 200)).toHaveLength(0)
    const asked = fleet.simulators[0]!.trace().filter(({ route }) => route.includes('/api/chat'))
    expect(asked.length).toBeLessThan(20)
    expect(turned).toContain('a m:latest resting')
    expect(turned).not.toContain('a * resting')
  })

  it('move from a backend that lost the model, and hold nothing against it', async () => {
    await using fleet = await startCalmFleet({ simulators: [short, short] })
    fleet.simulators[0]?.removeModel('m')
    for (let each = 0; each < 6; each++) expect((await chat(fleet, 'm')).status).toBe(200)
    expect(backendsOf(fleet)).toBe('bbbbbb')
    const [a] = fleet.app.pool.endpoints
    expect([a?.admitting, a?.onDisk.size, a?.lastError]).toEqual([true, 0, undefined])
    const asked = fleet.simulators[0]!.trace().filter(({ route }) => route.includes('/api/chat'))
    expect(asked.length).toBeLessThanOrEqual(1)
  })
})
