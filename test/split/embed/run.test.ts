import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deafObserver } from '../../../src/core/observer.ts'
import type { EmbedSplit } from '../../../src/split/embed/plan.ts'
import { type EmbedAnswer, type EmbedRequest, EmbedSplitter } from '../../../src/split/embed/run.ts'
import { Speeds } from '../../../src/split/speeds.ts'
import {
  answerBody,
  jumpClock,
  listText,
  type Mill,
  type MillFleet,
  millFleet,
  requestOf,
  texts,
  tokensOf,
  wholeList,
} from './help.ts'

const never = new AbortController().signal
const mill = (name: string, speed = 100, more: Partial<Mill> = {}): Mill => ({
  name,
  speed,
  ...more,
})

interface Bench extends MillFleet {
  readonly splitter: EmbedSplitter
  readonly noticed: string[]
  /** Asks for a batch twice: the first measures the machines. */
  readonly measured: () => Promise<void>
  readonly run: (request: EmbedRequest, signal?: AbortSignal) => Promise<EmbedAnswer>
}

function bench(mills: readonly Mill[], setting: EmbedSplit = 'same-class'): Bench {
  const fleet = millFleet(mills, jumpClock())
  const noticed: string[] = []
  const splitter = new EmbedSplitter({
    ask: fleet.ask,
    pool: fleet.pool,
    clock: fleet.clock,
    speeds: new Speeds(),
    observer: deafObserver({ noticed: (sentence) => void noticed.push(sentence) }),
    setting: () => setting,
  })
  return {
    ...fleet,
    splitter,
    noticed,
    async measured() {
      expect(splitter.plan(requestOf({ model: 'all-minilm', input: texts(64) }))).toBeUndefined()
      await fleet.clock.pass(60_000)
    },
    async run(request, signal = never) {
      const batch = splitter.plan(request)
      if (!batch) throw new Error('not split')
      return await fleet.clock.until(splitter.run(batch, signal))
    },
  }
}

const batchOf = (input: readonly string[], more: object = {}) =>
  requestOf({ model: 'all-minilm', input, ...more })
const bodyOf = ({ body }: EmbedAnswer) => Buffer.concat(body)

/** The answer has each item's own vector in its place, and the counts of all. */
function expectWhole(answer: EmbedAnswer, input: readonly string[], numbers = 'a'): void {
  expect(answer.status).toBe(200)
  expect(listText(bodyOf(answer))).toBe(wholeList(input, numbers))
  expect(JSON.parse(bodyOf(answer).toString('utf8')).prompt_eval_count).toBe(
    input.reduce((sum, text) => sum + tokensOf(text), 0),
  )
}

/** Nothing is left running, and no item was given to a machine more often than calls were made again. */
function expectQuiet({ working }: Bench): void {
  expect(working()).toBe(0)
}

describe('a large batch', () => {
  it('goes whole to one backend until the machines are measured, and is then shared by speed', async () => {
    const fleet = bench([mill('slow', 40), mill('fast', 480)])
    await fleet.measured()
    expect(fleet.probes).toEqual(['slow', 'fast'])
    expect(fleet.calls).toEqual([])
    const input = texts(512)
    const answer = await fleet.run(batchOf(input))
    expectWhole(answer, input)
    expectQuiet(fleet)
    expect(answer.parts['fast']).toBeGreaterThan(1)
    const items = (name: string) =>
      fleet.calls
        .filter(({ backend }) => backend === name)
        .reduce((sum, { call }) => sum + JSON.parse(call.body.toString('utf8')).input.length, 0)
    expect(items('fast') / items('slow')).toBeGreaterThan(8)
    expect(items('fast') / items('slow')).toBeLessThan(16)
    expect(answer).toMatchObject({ backend: 'fast', retried: 0, hedged: 0, code: undefined })
  })

  it.each([[512], [2_048], [4_096]])(
    'of %i items is done within a tenth of the machines own sum of speeds, first time and later',
    async (count) => {
      const mills = [mill('a', 40), mill('b', 480), mill('c', 160), mill('d', 120)]
      const fleet = bench(mills)
      await fleet.measured()
      const input = texts(count)
      const bound = (count * 664) / 800
      for (const share of [1.15, 1.1]) {
        const startedMs = fleet.clock.now()
        expectWhole(await fleet.run(batchOf(input)), input)
        expect(fleet.clock.now() - startedMs).toBeLessThan(bound * share)
      }
    },
  )

  it('carries what the request carries into every part, and keeps others out', async () => {
    const fleet = bench([mill('a'), mill('b'), mill('other', 150, { numbers: 'far' })])
    await fleet.measured()
    const request = requestOf(
      { model: 'all-minilm', keep_alive: '1h', input: texts(128) },
      { id: 'r7', tenant: 'ann', priority: 'interactive', deadlineMs: 9e9, work: 'index' },
    )
    const answer = await fleet.run(request)
    expect(new Set(Object.keys(answer.parts))).toEqual(new Set(['a', 'b']))
    for (const [index, { call }] of fleet.calls.entries()) {
      expect(call).toMatchObject({
        id: `r7.${index + 1}`,
        path: '/api/embed',
        tenant: 'ann',
        priority: 'interactive',
        deadlineMs: 9e9,
        work: 'index',
      })
      expect(call.except.has('other')).toBe(true)
      expect(JSON.parse(call.body.toString('utf8'))).toMatchObject({ keep_alive: '1h' })
    }
  })

  it('on the compatible route is one list, numbered through', async () => {
    const fleet = bench([mill('a'), mill('b', 300)])
    await fleet.measured()
    const input = texts(100)
    const answer = await fleet.run(
      requestOf({ input, model: 'all-minilm' }, { path: '/v1/embeddings' }),
    )
    expect(bodyOf(answer).toString('utf8')).toBe(
      answerBody('/v1/embeddings', input, 'a').toString('utf8'),
    )
    expect(answer.contentType).toBe('application/json')
    expect(answer.asked).toBeGreaterThan(1)
  })

  it('is answered in order, each item once, whoever is how fast', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            speed: fc.integer({ min: 5, max: 1_000 }),
            seats: fc.constantFrom(1, 2, 4),
            fixedMs: fc.integer({ min: 0, max: 40 }),
          }),
          { minLength: 2, maxLength: 6 },
        ),
        fc.array(fc.integer({ min: 100, max: 1_800 }), { minLength: 100, maxLength: 300 }),
        async (given, lengths) => {
          const fleet = bench(given.map((each, index) => mill(`m${index}`, each.speed, each)))
          await fleet.measured()
          const input = lengths.map((length, index) => texts(1, length)[0]! + index)
          const answer = await fleet.run(batchOf(input))
          expectWhole(answer, input)
          expectQuiet(fleet)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('leaves a busy machine out when the others are done before it has a seat', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    using _ = fleet.occupy('b')
    const input = texts(64)
    const answer = await fleet.run(batchOf(input))
    expectWhole(answer, input)
    expect(Object.keys(answer.parts)).toEqual(['a'])
  })
})

describe('a batch that is not split', () => {
  const usual = () => [mill('a'), mill('b')]
  it.each<[string, readonly Mill[], object, EmbedSplit?]>([
    ['when that is switched off', usual(), {}, 'off'],
    ['with few items', usual(), { input: texts(15, 900) }],
    ['with little text', usual(), { input: texts(64, 20) }],
    ['with one text', usual(), { input: 'x'.repeat(9_000) }],
    ['with an item that is no text', usual(), { input: [...texts(40), 7] }],
    ['with options that make a runner of its own', usual(), { options: { num_gpu: 0 } }],
    ['whose model is to leave memory at once', usual(), { keep_alive: 0 }],
    ['with one backend', [mill('a')], {}],
    [
      'with other weights on the other backend',
      [mill('a'), mill('b', 100, { digest: 'e'.repeat(64) })],
      {},
    ],
    [
      'with an item that may not fit a context',
      [mill('a'), mill('b', 100, { contextDefault: 2_048 })],
      { input: texts(40, 2_100) },
    ],
    ['of machines with other numbers', [mill('a'), mill('b', 100, { numbers: 'near' })], {}],
    ['of machines with far numbers', [mill('a'), mill('b', 100, { numbers: 'far' })], {}, 'all'],
  ])('is one %s', async (_, mills, more, setting) => {
    const fleet = bench(mills, setting)
    const request = () => requestOf({ model: 'all-minilm', input: texts(64), ...more })
    // What can be measured is measured by another batch.
    fleet.splitter.plan(batchOf(texts(64)))
    await fleet.clock.pass(10_000)
    expect(fleet.splitter.plan(request())).toBeUndefined()
    await fleet.clock.pass(10_000)
    expect(fleet.splitter.plan(request())).toBeUndefined()
    expect(fleet.calls).toEqual([])
    if (setting === 'off') expect(fleet.probes).toEqual([])
  })

  it('is split after all when every text surely fits, or the model cuts first', async () => {
    for (const [size, trained] of [
      [2_000, undefined],
      [9_000, 512],
    ] as const) {
      const more = trained === undefined ? {} : { contextTrained: trained }
      const fleet = bench([
        mill('a', 100, more),
        mill('b', 100, { ...more, contextDefault: 2_048 }),
      ])
      await fleet.measured()
      const input = texts(64, size)
      expectWhole(await fleet.run(batchOf(input)), input)
    }
  })
})

describe('classes', () => {
  it('that are near enough are mixed under all, and the operator is told', async () => {
    const fleet = bench([mill('a'), mill('b', 100, { numbers: 'near' })], 'all')
    await fleet.measured()
    const answer = await fleet.run(batchOf(texts(200)))
    expect(Object.keys(answer.parts).sort()).toEqual(['a', 'b'])
    expect(fleet.noticed).toHaveLength(1)
    expect(fleet.noticed[0]).toContain('a | b')
  })

  it('are measured anew when a backend comes back', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    expect(fleet.splitter.plan(batchOf(texts(64)))).toBeDefined()
    fleet.splitter.forget('b')
    expect(fleet.splitter.plan(batchOf(texts(64)))).toBeUndefined()
    await fleet.clock.pass(10_000)
    expect(fleet.probes).toEqual(['a', 'b', 'b'])
    expect(fleet.splitter.plan(batchOf(texts(64)))).toBeDefined()
  })

  it('of a machine that changes under a batch are never mixed with it', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    const input = texts(400)
    const batch = fleet.splitter.plan(batchOf(input))!
    const answer = fleet.splitter.run(batch, never)
    await fleet.clock.pass(200)
    ;(fleet.mills[1] as { numbers?: string }).numbers = 'far'
    fleet.splitter.forget('b')
    expectWhole(await fleet.clock.until(answer), input)
    expectQuiet(fleet)
  })

  it('hold for the program that was measured: a new version under a batch is another machine', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    const input = texts(400)
    const answer = fleet.splitter.run(fleet.splitter.plan(batchOf(input))!, never)
    await fleet.clock.pass(200)
    ;(fleet.mills[1] as { numbers?: string }).numbers = 'far'
    fleet.pool.endpoint('b')!.version = '0.34.0'
    expectWhole(await fleet.clock.until(answer), input)
  })

  it('that are gone altogether leave one backend to answer the whole batch', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    const input = texts(400)
    const answer = fleet.splitter.run(fleet.splitter.plan(batchOf(input))!, never)
    await fleet.clock.pass(200)
    fleet.splitter.forget('a')
    fleet.splitter.forget('b')
    const done = await fleet.clock.until(answer)
    expectWhole(done, input)
    expect(Object.values(done.parts)).toEqual([1])
    expect(fleet.calls.at(-1)?.call.body).toEqual(batchOf(input).body)
    expectQuiet(fleet)
  })
})

const refusal = (text: string) => ({ status: 400, body: Buffer.from(`{"error":"${text}"}`) })

describe('a bad item', () => {
  it('is reported as a single server would, the lowest speaking for all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat({ max: 199 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 20, max: 900 }),
        async (bad, speed) => {
          const isBad = (text: string) => bad.includes(Number(text.split(' ')[0]))
          const odd = (items: readonly string[]) => {
            const first = items.find(isBad)
            return first === undefined ? undefined : refusal(`item ${first.split(' ')[0]}`)
          }
          const fleet = bench([mill('a', 100, { odd }), mill('b', speed, { odd })])
          await fleet.measured()
          const answer = await fleet.run(batchOf(texts(200)))
          expect(answer.status).toBe(400)
          expect(bodyOf(answer).toString('utf8')).toBe(`{"error":"item ${Math.min(...bad)}"}`)
          expect(answer.contentType).toBe('application/json; charset=utf-8')
          expectQuiet(fleet)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('waits for the items before it, which may be bad as well', async () => {
    const odd = (items: readonly string[]) => {
      const bad = items.find((text) => /^(9|40) /.test(text))
      return bad === undefined ? undefined : refusal(`item ${bad.split(' ')[0]}`)
    }
    // The fast machine is at item 40 long before the slow one is at item 9.
    const fleet = bench([mill('a', 500, { odd }), mill('b', 20, { odd })])
    await fleet.measured()
    const answer = await fleet.run(batchOf(texts(300)))
    expect(bodyOf(answer).toString('utf8')).toBe('{"error":"item 9"}')
  })

  it('ends everything behind it at once', async () => {
    // Were what comes after it still wanted, the batch would never end.
    const odd = (items: readonly string[]) => {
      const first = Number(items[0]!.split(' ')[0])
      if (first > 8) return 'hang'
      return first === 8 ? refusal('no') : undefined
    }
    const fleet = bench([mill('a', 100, { odd }), mill('b', 50, { odd })])
    await fleet.measured()
    const answer = await fleet.run(batchOf(texts(1_000)))
    expect(answer.status).toBe(400)
    expect(fleet.calls.some(({ cancelled }) => cancelled)).toBe(true)
    expectQuiet(fleet)
  })
})

describe('a part that fails', () => {
  const failure = { status: 502, body: Buffer.from('{"error":"gone"}') }

  it('is asked for elsewhere, and the client does not learn of it', async () => {
    let times = 0
    const fleet = bench([
      mill('a', 100, { odd: () => (++times <= 1 ? failure : undefined) }),
      mill('b'),
    ])
    await fleet.measured()
    const input = texts(200)
    const answer = await fleet.run(batchOf(input))
    expectWhole(answer, input)
    expect(answer.retried).toBe(1)
    const failed = fleet.calls.filter(({ backend }) => backend === 'a')[0]!
    const again = fleet.calls.filter(({ call }) => call.body.equals(failed.call.body))
    expect(again.map(({ backend }) => backend)).toEqual(['a', 'b'])
  })

  it('at a backend that is gone leaves everything to the others', async () => {
    const fleet = bench([mill('a', 100, { odd: () => failure }), mill('b'), mill('c')])
    await fleet.measured()
    const input = texts(600)
    const answer = await fleet.run(batchOf(input))
    expectWhole(answer, input)
    expect(answer.parts['a']).toBeUndefined()
  })

  it('everywhere fails the batch after three tries, in the words of the last', async () => {
    const fleet = bench([
      mill('a', 100, { odd: () => failure }),
      mill('b', 100, { odd: () => failure }),
    ])
    await fleet.measured()
    const answer = await fleet.run(batchOf(texts(64)))
    expect([answer.status, bodyOf(answer).toString('utf8')]).toEqual([502, '{"error":"gone"}'])
    const most = Map.groupBy(fleet.calls, ({ call }) => call.body.toString('utf8'))
    expect(Math.max(...[...most.values()].map((calls) => calls.length))).toBe(3)
    expectQuiet(fleet)
  })

  it('by too few vectors is no answer', async () => {
    const short = (items: readonly string[]) => ({
      body: answerBody('/api/embed', items.slice(1), 'a'),
    })
    const fleet = bench([mill('a', 100, { odd: short }), mill('b')])
    await fleet.measured()
    const input = texts(200)
    expectWhole(await fleet.run(batchOf(input)), input)

    const none = bench([mill('a', 100, { odd: short }), mill('b', 100, { odd: short })])
    await none.measured()
    const answer = await none.run(batchOf(input))
    expect(answer).toMatchObject({ status: 502, code: 'upstream_failed' })
    expect(bodyOf(answer).toString('utf8')).toMatch(/vectors for \d+ texts/)
  })

  it('because the queue is full waits for another to end', async () => {
    const full = [{ status: 503, code: 'queue_full' as const, servedMs: 0 }]
    const odd = () => full.pop()
    const fleet = bench([mill('a'), mill('b', 100, { odd, fixedMs: 0 })])
    await fleet.measured()
    const input = texts(200)
    const answer = await fleet.run(batchOf(input))
    expectWhole(answer, input)
    expect(answer.retried).toBe(0)
  })

  it('because time is up ends the batch', async () => {
    const odd = () => ({ status: 504, code: 'total_timeout' as const, body: Buffer.from('{}') })
    const fleet = bench([mill('a', 100, { odd }), mill('b')])
    await fleet.measured()
    const answer = await fleet.run(batchOf(texts(200)))
    expect(answer).toMatchObject({ status: 504, code: 'total_timeout' })
    expectQuiet(fleet)
  })

  it('in any mixture gives one vector for each item, or one failure', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.array(fc.constantFrom('ok', 'fail', 'short', 'hang', '404'), { maxLength: 6 }),
          {
            minLength: 2,
            maxLength: 5,
          },
        ),
        fc.integer({ min: 40, max: 400 }),
        async (moods, count) => {
          const mills = moods.map((list, index) => {
            const left = [...list]
            return mill(`m${index}`, 50 + 100 * index, {
              odd(items) {
                switch (left.shift()) {
                  case 'fail':
                    return failure
                  case '404':
                    return { status: 404, body: Buffer.from('{"error":"model not found"}') }
                  case 'short':
                    return { body: answerBody('/api/embed', items.slice(1), 'a') }
                  case 'hang':
                    return 'hang'
                  default:
                    return undefined
                }
              },
            })
          })
          const fleet = bench(mills)
          await fleet.measured()
          const input = texts(count)
          // What hangs twice hangs for ever here: in life a timeout or the client ends it.
          const end = new AbortController()
          using _limit = fleet.clock.after(600_000, () => end.abort())
          const answer = await fleet.run(batchOf(input), end.signal)
          if (answer.status === 200) expectWhole(answer, input)
          else expect([404, 499, 502]).toContain(answer.status)
          expectQuiet(fleet)
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('a part that hangs', () => {
  it('is asked for a second time when all others are done, and the first answer counts', async () => {
    let hung = 0
    const fleet = bench([
      mill('a', 100, { odd: () => (++hung === 2 ? 'hang' : undefined) }),
      mill('b'),
    ])
    await fleet.measured()
    const input = texts(300)
    const startedMs = fleet.clock.now()
    const answer = await fleet.run(batchOf(input))
    expectWhole(answer, input)
    expect(answer.hedged).toBe(1)
    expect(fleet.clock.now() - startedMs).toBeLessThan(((300 * 664) / 200) * 3)
    expectQuiet(fleet)
  })

  it('is not asked for twice while it is only on its way', async () => {
    const fleet = bench([mill('a', 100), mill('b', 90), mill('c', 60)])
    await fleet.measured()
    for (let each = 0; each < 3; each++) {
      const answer = await fleet.run(batchOf(texts(500)))
      expect(answer.hedged).toBe(0)
    }
  })
})

describe('a client that leaves', () => {
  it('ends every part in the same tick, wherever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1_200 }), async (afterMs) => {
        const fleet = bench([mill('a'), mill('b', 300)])
        await fleet.measured()
        const left = new AbortController()
        const batch = fleet.splitter.plan(batchOf(texts(800)))!
        const answer = fleet.splitter.run(batch, left.signal)
        await fleet.clock.pass(afterMs)
        const before = fleet.calls.length
        left.abort()
        expect(fleet.working()).toBe(0)
        expect((await answer).status).toBe(499)
        await fleet.clock.pass(10_000)
        expect(fleet.calls).toHaveLength(before)
      }),
      { numRuns: 20 },
    )
  })

  it('before it began asks for nothing', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    const answer = await fleet.run(batchOf(texts(100)), AbortSignal.abort())
    expect(answer.status).toBe(499)
    expect(fleet.calls).toEqual([])
  })
})

describe('machines that go away', () => {
  it('all of them: the batch waits for who comes back first', async () => {
    const fleet = bench([mill('a'), mill('b')])
    await fleet.measured()
    const input = texts(200)
    const batch = fleet.splitter.plan(batchOf(input))!
    const [a, b] = fleet.pool.endpoints
    const ready = a!.health
    for (const each of [a!, b!]) each.health = { ...ready, state: 'away' }
    const answer = fleet.splitter.run(batch, never)
    await fleet.clock.pass(5_000)
    expect(fleet.working()).toBe(0)
    b!.health = ready
    fleet.pool.learned()
    const done = await fleet.clock.until(answer)
    expectWhole(done, input)
    expect(done.parts['a']).toBeUndefined()
  })
})
