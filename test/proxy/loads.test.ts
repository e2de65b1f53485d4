import { describe, expect, it } from 'vitest'
import type { Ask } from '../../src/core/ask.ts'
import { readModelName } from '../../src/core/model-name.ts'
import { deafObserver } from '../../src/core/observer.ts'
import { type LoadResult, Loads } from '../../src/proxy/loads.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, poolOf, ps } from '../pool/help.ts'
import { askOf } from './help.ts'

/** Loads whose backend is the test: each waits until it is answered. */
function handLoads() {
  const bodies: unknown[] = []
  const results: string[] = []
  const ended: string[] = []
  const answers: ((status: number) => void)[] = []
  const clock = handClock()
  const loads = new Loads(
    (_endpoint, path, body, onEnd) => {
      bodies.push({ path, ...(JSON.parse(body) as object) })
      return new Promise((resolve) => {
        onEnd?.(() => {
          ended.push(path)
          resolve({ outcome: { kind: 'clientLeft' }, answer: undefined })
        })
        answers.push((status) =>
          resolve({
            outcome:
              status < 300
                ? { kind: 'answered', status }
                : { kind: 'refused', status, why: 'serverFault', text: '' },
            answer: { status, rawHeaders: [], body: Buffer.from('{}') },
          }),
        )
      })
    },
    clock,
    deafObserver({ loaded: (_backend, model, result) => void results.push(`${model} ${result}`) }),
  )
  const pool = poolOf([backendOf('a'), backendOf('b')], { models: ['m', 'n'], clock })
  const [a, b] = [pool.endpoint('a')!, pool.endpoint('b')!]
  return { loads, bodies, results, ended, answers, a, b, clock }
}

function asking(model: string, more: Partial<Ask> = {}): Ask {
  return askOf({ modelText: model, name: readModelName(model)!, ...more })
}

async function settled(): Promise<void> {
  for (let each = 0; each < 10; each++) await Promise.resolve()
}

describe('loads', () => {
  it('are needed for what is not loaded, or loaded with other options', async () => {
    const { loads, a, answers } = handLoads()
    const plain = asking('m')
    const wide = asking('m', { runner: { num_ctx: '9000' } })
    expect(loads.needed(a, plain)).toBe(true)
    const { result } = loads.join(a, wide)
    await settled()
    answers[0]!(200)
    await result
    expect(loads.needed(a, wide)).toBe(false)
    expect(loads.needed(a, plain)).toBe(true)
  })

  it('by somebody else are taken for what they say they are', () => {
    const { loads, a } = handLoads()
    a.learnInMemory(ps([{ model: 'm', context_length: 9_000 }]))
    expect(loads.needed(a, asking('m'))).toBe(false)
    expect(loads.needed(a, asking('m', { runner: { num_ctx: '9000' } }))).toBe(false)
    expect(loads.needed(a, asking('m', { runner: { num_ctx: '4000' } }))).toBe(true)
    expect(loads.needed(a, asking('m', { runner: { num_gpu: '1' } }))).toBe(true)
  })

  it('run one after the other at a backend, and side by side at two', async () => {
    const { loads, a, b, bodies, answers } = handLoads()
    loads.join(a, asking('m'))
    loads.join(a, asking('n'))
    loads.join(b, asking('n'))
    await settled()
    expect(bodies).toHaveLength(2)
    expect(loads.underWay(a)).toBe(2)
    answers[0]!(200)
    await settled()
    expect(bodies).toHaveLength(3)
  })

  it('are shared: one request, one result for all', async () => {
    const { loads, a, bodies, answers } = handLoads()
    const both = [loads.join(a, asking('m')), loads.join(a, asking('m'))]
    await settled()
    answers[0]!(500)
    const results = await Promise.all(both.map(({ result }) => result))
    expect(results.map(({ kind }) => kind)).toEqual(['failed', 'failed'])
    expect(bodies).toHaveLength(1)
    // A failed one is begun anew by the next who wants it.
    loads.join(a, asking('m'))
    await settled()
    expect(bodies).toHaveLength(2)
  })

  it('that run go on when all have left, and those that have not begun never do', async () => {
    const { loads, a, bodies, answers, results } = handLoads()
    const running = loads.join(a, asking('m'))
    const waiting = loads.join(a, asking('n'))
    await settled()
    running.leave()
    waiting.leave()
    answers[0]!(200)
    expect(await waiting.result).toMatchObject({ kind: 'failed', outcome: { kind: 'clientLeft' } })
    expect(bodies).toHaveLength(1)
    expect(results).toEqual(['m:latest rescued'])
    expect(loads.underWay(a)).toBe(0)
    expect(loads.needed(a, asking('m'))).toBe(false)
  })

  // A load of nobody's at a server that a reload had taken out ran for as long as it liked, with its connection.
  it('at a server that is taken out end with the last who waits for them', async () => {
    const { loads, a, b, bodies, ended, answers } = handLoads()
    const one = loads.join(a, asking('m'))
    const other = loads.join(a, asking('m'))
    const next = loads.wish(a, asking('n'))
    loads.join(b, asking('m')).leave()
    await settled()
    loads.leftBehind(a)
    one.leave()
    expect(ended).toEqual([])
    other.leave()
    expect(ended).toEqual(['/api/generate'])
    expect(await one.result).toMatchObject({ kind: 'failed', outcome: { kind: 'clientLeft' } })
    expect(await next).toMatchObject({ kind: 'failed', outcome: { kind: 'clientLeft' } })
    expect(loads.underWay(a)).toBe(0)
    // Who still has a seat there is loaded for.
    const late = loads.join(a, asking('m'))
    await settled()
    expect(bodies).toHaveLength(2)
    answers[1]!(200)
    expect(await late.result).toEqual({ kind: 'loaded' })
  })

  it('of the proxy itself run though nobody waits, and end when their server is taken out', async () => {
    const { loads, a, ended, results } = handLoads()
    const wish = loads.wish(a, asking('m'))
    loads.join(a, asking('m')).leave()
    await settled()
    expect([loads.underWay(a), loads.waitingFor(a, 'm:latest')]).toEqual([1, 0])
    loads.leftBehind(a)
    expect(ended).toHaveLength(1)
    expect(await wish).toMatchObject({ kind: 'failed' })
    expect(results).toEqual([])
  })

  it('carry the options and the keep_alive of who wants them, as they were written', async () => {
    const { loads, a, bodies } = handLoads()
    const runner = { num_ctx: '1e4', use_mmap: 'false', shift: 'true' }
    loads.join(a, asking('M', { runner, keepAlive: '"7m"' }))
    await settled()
    expect(bodies[0]).toEqual({
      path: '/api/generate',
      model: 'M',
      stream: false,
      options: { num_ctx: 10_000, use_mmap: false },
      shift: true,
      keep_alive: '7m',
    })
  })

  it('do not carry a keep_alive that would undo them', async () => {
    for (const keepAlive of ['0', '"0"', '"0s"', '0.0', '"0m"']) {
      const { loads, a, bodies } = handLoads()
      loads.join(a, asking('m', { keepAlive }))
      await settled()
      expect(bodies[0]).not.toHaveProperty('keep_alive')
    }
  })

  it('are not stopped for good by one that goes wrong inside', async () => {
    const clock = handClock()
    let calls = 0
    const loads = new Loads(
      () => {
        if (++calls === 1) throw new Error('inside')
        return Promise.resolve({ outcome: { kind: 'answered', status: 200 }, answer: undefined })
      },
      clock,
      deafObserver(),
    )
    const a = poolOf([backendOf('a')], { models: ['m', 'n'], clock }).endpoint('a')!
    const first = loads.join(a, asking('m'))
    await expect(first.result).rejects.toThrow('inside')
    const results: LoadResult[] = [await loads.join(a, asking('n')).result]
    results.push(await loads.join(a, asking('m')).result)
    expect(results.map(({ kind }) => kind)).toEqual(['loaded', 'loaded'])
  })
})
