import { describe, expect, it } from 'vitest'
import { deafObserver } from '../../src/core/observer.ts'
import type { ProbeSettings } from '../../src/core/settings.ts'
import type { AskBackend } from '../../src/pool/prober.ts'
import { Prober } from '../../src/pool/prober.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, poolOf } from './help.ts'

const settings: ProbeSettings = {
  intervalMs: 1_000,
  timeoutMs: 500,
  modelsEveryMs: 10_000,
  fall: 3,
  rise: 2,
  jitter: 0,
}

type Answers = (question: { name: string; path: string; body: string | undefined }) => unknown

/** Backends that answer out of the test's hand; `pass` lets time go by beat by beat. */
function fleetOf(
  names: readonly string[],
  answer: Answers,
  more: Partial<ProbeSettings> = {},
  roll = 0.5,
) {
  const clock = handClock(0)
  const pool = poolOf(
    names.map((name) => backendOf(name)),
    { clock, models: [] },
  )
  for (const endpoint of pool.endpoints)
    endpoint.health = { ...endpoint.health, state: 'unknown', reason: '' }
  const asked: { name: string; path: string; atMs: number }[] = []
  const turned: string[] = []
  const returned: string[] = []
  const ask: AskBackend = async (endpoint, { path, body }) => {
    asked.push({ name: endpoint.name, path, atMs: clock.now() })
    return await answer({ name: endpoint.name, path, body })
  }
  const prober = new Prober(
    pool,
    { ...settings, ...more },
    {
      clock,
      dice: { roll: () => roll },
      observer: deafObserver({
        backendTurned: (name, state) => void turned.push(`${name} ${state} at ${clock.now()}`),
      }),
      ask,
      returned: ({ name }) => void returned.push(name),
    },
  )
  return {
    pool,
    prober,
    asked,
    turned,
    returned,
    clock,
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 10) {
        clock.pass(10)
        await settled()
      }
    },
    times: (path: string, name = 'a') =>
      asked.filter((each) => each.path === path && each.name === name).map(({ atMs }) => atMs),
    [Symbol.dispose]: () => prober[Symbol.dispose](),
  }
}

/** Lets everything happen that needs no time. */
async function settled(): Promise<void> {
  for (let each = 0; each < 12; each++) await Promise.resolve()
}

/** As a server with one model. */
const well: Answers = ({ path }) =>
  path === '/api/version'
    ? { version: '0.33.0' }
    : { models: [{ name: 'm', digest: 'd', capabilities: ['completion'] }] }
const silent = () => new Promise(() => {})
const refused = () => Promise.reject(new Error('connection refused'))

describe('the probes', () => {
  it('know a backend after one look', async () => {
    using fleet = fleetOf(['a'], well)
    await fleet.prober.start()
    const [a] = fleet.pool.endpoints
    expect(a).toMatchObject({ ready: true, version: '0.33.0' })
    expect(a?.model('m:latest')).toMatchObject({ resident: true, digest: 'd' })
  })

  it('ask for what is loaded on every beat, and for what is on the disk now and then', async () => {
    using fleet = fleetOf(['a'], well)
    await fleet.prober.start()
    await fleet.pass(20_500)
    expect(fleet.times('/api/ps')).toHaveLength(21)
    expect(fleet.times('/api/tags')).toEqual([0, 10_000, 20_000])
  })

  it('give a backend up after `fall` bad looks and take it back after `rise` good ones', async () => {
    let gone = false
    using fleet = fleetOf(['a'], (question) => (gone ? refused() : well(question)))
    await fleet.prober.start()
    gone = true
    await fleet.pass(4_500)
    const [a] = fleet.pool.endpoints
    expect(a?.health).toMatchObject({ state: 'away', reason: 'connection refused' })
    expect(a?.lastError).toBe('connection refused')
    gone = false
    await fleet.pass(3_000)
    expect(fleet.turned).toEqual(['a ready at 0', 'a away at 3000', 'a ready at 6000'])
    expect(fleet.returned).toEqual(['a', 'a'])
  })

  // A look that found nothing used to push the next one back by the time that it had waited: a frozen server was given
  // up after nine seconds where three looks two seconds apart had been set.
  it('keep their beat while a server says nothing', async () => {
    let frozen = false
    using fleet = fleetOf(['a'], async (question) => {
      if (!frozen) return well(question)
      const { promise, reject } = Promise.withResolvers<unknown>()
      fleet.clock.after(settings.timeoutMs, () => reject(new Error('no answer within 500 ms')))
      return await promise
    })
    await fleet.prober.start()
    frozen = true
    await fleet.pass(3_600)
    expect(fleet.times('/api/ps')).toEqual([0, 1_000, 2_000, 3_000])
    expect(fleet.turned.at(-1)).toBe('a away at 3500')
  })

  it('list the models again before a backend that was away serves', async () => {
    let gone = false
    let names = ['m']
    using fleet = fleetOf(['a'], (question) =>
      gone
        ? refused()
        : question.path === '/api/tags'
          ? { models: names.map((name) => ({ name })) }
          : well(question),
    )
    await fleet.prober.start()
    gone = true
    await fleet.pass(3_500)
    names = ['other']
    gone = false
    await fleet.pass(2_000)
    const [a] = fleet.pool.endpoints
    expect([a?.ready, ...(a?.onDisk.keys() ?? [])]).toEqual([true, 'other:latest'])
  })

  it('tell whoever holds a lease that its backend is given up', async () => {
    let gone = false
    using fleet = fleetOf(['a'], (question) => (gone ? refused() : well(question)))
    await fleet.prober.start()
    const lease = fleet.pool.endpoints[0]!.take('m:latest', { seat: true, asTry: false })!
    let told = 0
    lease.onAway = () => told++
    gone = true
    await fleet.pass(2_500)
    expect(told).toBe(0)
    await fleet.pass(1_000)
    expect(told).toBe(1)
  })

  it('do not wait for a slow backend with the others', async () => {
    using fleet = fleetOf(['a', 'b'], (question) =>
      question.name === 'b' ? silent() : well(question),
    )
    void fleet.prober.start()
    await fleet.pass(3_500)
    expect(fleet.times('/api/ps', 'a')).toHaveLength(4)
    expect(fleet.times('/api/ps', 'b')).toHaveLength(1)
    expect(fleet.pool.endpoint('a')?.ready).toBe(true)
    expect(fleet.pool.endpoint('b')?.health.state).toBe('unknown')
  })

  it.each([
    [0, 900],
    [0.5, 1_000],
    [0.999_999, 1_100],
  ])('come between nine and eleven tenths of the beat (dice at %d)', async (roll, gapMs) => {
    using fleet = fleetOf(['a'], well, { jitter: 0.1 }, roll)
    await fleet.prober.start()
    await fleet.pass(gapMs * 3 + 50)
    const times = fleet.times('/api/ps')
    const gaps = times.slice(1).map((at, index) => at - times[index]!)
    expect(gaps).toHaveLength(3)
    for (const gap of gaps) expect(Math.abs(gap - gapMs)).toBeLessThanOrEqual(1)
  })

  it('do not take a missing version for a missing backend', async () => {
    using fleet = fleetOf(['a'], (question) =>
      question.path === '/api/version' ? refused() : well(question),
    )
    await fleet.prober.start()
    expect(fleet.pool.endpoints[0]).toMatchObject({ ready: true, version: undefined })
  })

  it('believe no version that is none', async () => {
    using fleet = fleetOf(['a'], (question) =>
      question.path === '/api/version' ? { version: { major: 1 } } : well(question),
    )
    await fleet.prober.start()
    expect(fleet.pool.endpoints[0]?.version).toBeUndefined()
  })

  it('stop with their scope, and for a backend that left the configuration', async () => {
    const fleet = fleetOf(['a', 'b'], well)
    await fleet.prober.start()
    fleet.pool.reconcile([backendOf('a')])
    await fleet.prober.start()
    await fleet.pass(2_500)
    expect(fleet.times('/api/ps', 'b')).toEqual([0])
    fleet.prober[Symbol.dispose]()
    const { length } = fleet.asked
    await fleet.pass(5_000)
    expect(fleet.asked).toHaveLength(length)
  })

  it('begin for a backend that is new, without a second beat for the others', async () => {
    using fleet = fleetOf(['a'], well)
    await fleet.prober.start()
    fleet.pool.reconcile([backendOf('a'), backendOf('b')])
    await fleet.prober.start()
    await fleet.pass(1_500)
    expect(fleet.times('/api/ps', 'a')).toEqual([0, 1_000])
    expect(fleet.times('/api/ps', 'b')).toEqual([0, 1_000])
  })
})

describe('a look in between', () => {
  it('is shared by all who want it at once', async () => {
    using fleet = fleetOf(['a'], well)
    await fleet.prober.start()
    const [a] = fleet.pool.endpoints
    await Promise.all([1, 2, 3, 4].map(() => fleet.prober.refresh(a!)))
    expect(fleet.times('/api/tags')).toHaveLength(2)
  })

  it('begins after the moment at which it was wanted', async () => {
    const answers: ((value: unknown) => void)[] = []
    let held = false
    using fleet = fleetOf(['a'], (question) =>
      held && question.path === '/api/tags'
        ? new Promise((resolve) => answers.push(resolve))
        : well(question),
    )
    await fleet.prober.start()
    const [a] = fleet.pool.endpoints
    held = true
    const first = fleet.prober.refresh(a!)
    await settled()
    const second = fleet.prober.refresh(a!)
    answers.shift()?.({ models: [{ name: 'old' }] })
    await first
    await settled()
    answers.shift()?.({ models: [{ name: 'new' }] })
    await second
    expect([...a!.onDisk.keys()]).toEqual(['new:latest'])
  })

  // The end of a load wanted a look while one was under way; a reload took the server out, and it was asked three more
  // questions, whose connections stayed.
  it('is not made any more when its server was taken out before it began', async () => {
    let hold = Promise.resolve()
    using fleet = fleetOf(['a'], async (question) => {
      await hold
      return well(question)
    })
    await fleet.prober.start()
    const [a] = fleet.pool.endpoints
    const { promise, resolve } = Promise.withResolvers<void>()
    hold = promise
    await fleet.pass(1_000)
    const look = fleet.prober.refresh(a!)
    fleet.pool.reconcile([])
    await fleet.prober.start()
    const before = fleet.asked.length
    resolve()
    await look
    expect(fleet.asked).toHaveLength(before)
  })

  it('for an unknown model is made of everybody who is there, once in two seconds', async () => {
    using fleet = fleetOf(['a', 'b'], (question) =>
      question.name === 'b' ? refused() : well(question),
    )
    await fleet.prober.start()
    for (let each = 0; each < 5; each++) await fleet.prober.refreshForUnknown()
    expect(fleet.times('/api/tags')).toEqual([0])
    fleet.clock.pass(2_001)
    await settled()
    for (let each = 0; each < 5; each++) await fleet.prober.refreshForUnknown()
    expect(fleet.times('/api/tags')).toHaveLength(2)
    expect(fleet.times('/api/tags', 'b').length).toBeLessThanOrEqual(3)
  })

  it('does not count towards `fall`, however often clients cause one', async () => {
    let gone = false
    using fleet = fleetOf(['a'], (question) => (gone ? refused() : well(question)))
    await fleet.prober.start()
    gone = true
    for (let each = 0; each < 10; each++) {
      await fleet.prober.refresh(fleet.pool.endpoints[0]!)
      await fleet.prober.refreshForUnknown()
    }
    expect(fleet.pool.endpoints[0]?.ready).toBe(true)
    await fleet.pass(3_500)
    expect(fleet.turned).toEqual(['a ready at 0', 'a away at 3000'])
  })

  it('that fails is not repeated for every unknown model', async () => {
    let gone = false
    using fleet = fleetOf(['a'], (question) => (gone ? refused() : well(question)), {
      intervalMs: 100_000,
    })
    await fleet.prober.start()
    fleet.clock.pass(5_000)
    gone = true
    for (let each = 0; each < 10; each++) await fleet.prober.refreshForUnknown()
    expect(fleet.times('/api/tags')).toHaveLength(2)
  })
})

describe('details of models whose server lists no capabilities', () => {
  const old =
    (show: Answers): Answers =>
    (question) =>
      question.path === '/api/show'
        ? show(question)
        : question.path === '/api/tags'
          ? {
              models: [
                { name: 'm', digest: 'd' },
                { name: 'alias', digest: 'd' },
                { name: 'e', digest: 'e' },
              ],
            }
          : { models: [] }

  it('are asked for once for each digest, over the whole fleet', async () => {
    using fleet = fleetOf(
      ['a', 'b'],
      old(({ body }) =>
        body?.includes('"e:')
          ? { capabilities: ['embedding'], model_info: { 'bert.context_length': 512 } }
          : { capabilities: ['completion', 'vision'] },
      ),
    )
    await fleet.prober.start()
    await fleet.pass(25_000)
    expect(fleet.asked.filter(({ path }) => path === '/api/show')).toHaveLength(2)
    for (const endpoint of fleet.pool.endpoints) {
      expect(endpoint.model('alias:latest')?.capabilities).toEqual(
        new Set(['completion', 'vision']),
      )
      expect(endpoint.model('e:latest')).toMatchObject({ embeddingOnly: true })
      expect(endpoint.onDisk.get('e:latest')?.contextTrained).toBe(512)
    }
  })

  it('are asked for again with the next list when that failed', async () => {
    let works = false
    using fleet = fleetOf(
      ['a'],
      old(() => (works ? { capabilities: ['completion'] } : refused())),
    )
    await fleet.prober.start()
    await fleet.pass(500)
    expect(fleet.pool.endpoints[0]?.model('m:latest')?.capabilities).toBeUndefined()
    works = true
    await fleet.pass(10_000)
    expect(fleet.pool.endpoints[0]?.model('m:latest')?.capabilities).toEqual(
      new Set(['completion']),
    )
  })

  it('of one backend do not wait for those of another that is slow', async () => {
    using fleet = fleetOf(['slow', 'a'], ({ name, path }) => {
      if (path === '/api/show') return name === 'slow' ? silent() : { capabilities: ['completion'] }
      const models = Array.from({ length: 20 }, (_, index) => ({
        name: `${name}${index}`,
        digest: `${name}${index}`,
      }))
      return { models: path === '/api/tags' ? models : [] }
    })
    await fleet.prober.start()
    await fleet.pass(200)
    const known = [...fleet.pool.endpoint('a')!.onDisk.values()].filter(
      ({ capabilities }) => capabilities !== undefined,
    )
    expect(known).toHaveLength(20)
    expect(fleet.times('/api/show', 'slow')).toHaveLength(2)
  })

  it('that lie are no capabilities', async () => {
    using fleet = fleetOf(
      ['a'],
      old(() => ({ capabilities: 'all of them', model_info: [] })),
    )
    await fleet.prober.start()
    await fleet.pass(100)
    expect(fleet.pool.endpoints[0]?.model('m:latest')?.capabilities).toBeUndefined()
  })
})

describe('probes after a reload', () => {
  const answers = ({ path }: { path: string }) => (path === '/api/tags' ? { models: [] } : {})

  it('go on in the new measure at once, also where the old one had just begun to wait', async () => {
    using fleet = fleetOf(['a'], async (each) => answers(each), { intervalMs: 60_000 })
    await fleet.prober.start()
    await fleet.pass(100)
    expect(fleet.times('/api/ps')).toEqual([0])
    fleet.prober.reconfigure({ ...settings, intervalMs: 500, jitter: 0 })
    await fleet.pass(1_600)
    expect(fleet.times('/api/ps')).toEqual([0, 600, 1_100, 1_600])
  })

  it('go on at one that is leaving, until the last that runs there has ended', async () => {
    using fleet = fleetOf(['a'], async (each) => answers(each), { intervalMs: 500, jitter: 0 })
    await fleet.prober.start()
    const a = fleet.pool.endpoint('a')!
    const lease = a.take('m:latest', { seat: false, asTry: false })!
    fleet.pool.reconcile([])
    await fleet.prober.start()
    await fleet.pass(1_100)
    const before = fleet.times('/api/ps').length
    expect(before).toBe(3)
    lease.settle({ kind: 'answered', status: 200 })
    await fleet.pass(2_000)
    // One that was due was made, and none after it.
    expect(fleet.times('/api/ps').length).toBe(before + 1)
  })

  it('end at one that nothing runs at', async () => {
    using fleet = fleetOf(['a'], async (each) => answers(each), { intervalMs: 500, jitter: 0 })
    await fleet.prober.start()
    fleet.pool.reconcile([])
    await fleet.prober.start()
    await fleet.pass(2_000)
    expect(fleet.times('/api/ps')).toEqual([0])
  })
})
