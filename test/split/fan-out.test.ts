import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededDice } from '../../src/core/dice.ts'
import type { Part } from '../../src/split/cut/splitter.ts'
import { FanOut, PartFailed } from '../../src/split/fan-out.ts'
import { type ErrandTurn, PartRunner } from '../../src/split/part-runner.ts'
import { Shelf } from '../../src/split/shelf.ts'
import { Speeds } from '../../src/split/speeds.ts'
import { scratchFolder } from '../help/scratch.ts'
import { answerTo, type FakeBackend, FakeFleet, type Fate } from './fake-fleet.ts'
import { spoolIn } from './spool.ts'

const model = { text: 'm', canonical: 'm:latest', cloud: false }

function partsOf(texts: readonly string[]): Part[] {
  return texts.map((text, index) => ({
    index,
    start: index,
    end: index + 1,
    from: index,
    text,
    tokens: text.length,
    label: `part ${index}`,
  }))
}

function setUp(
  fleet: FakeFleet,
  texts: readonly string[],
  options: { maxParallel?: number; holes?: boolean; shelfBytes?: number } = {},
) {
  const parts = partsOf(texts)
  const turns: ErrandTurn[] = []
  const folder = scratchFolder()
  let fanOut: FanOut
  const runner = new PartRunner(
    'run',
    {
      ask: fleet.ask,
      clock: fleet.clock,
      dice: seededDice(1),
      speeds: new Speeds(),
      holders: () => fleet.holders(),
      turned: (turn) => turns.push(turn),
    },
    { leftOut: new Set(), moreToCome: () => fanOut.unbegun > 0 },
  )
  const shelf = new Shelf(options.shelfBytes ?? 1_000_000, spoolIn(folder.path))
  const taken: number[] = []
  fanOut = new FanOut(parts, {
    runner,
    shelf,
    errandOf: (part) => ({
      name: `part ${part.index + 1}`,
      stage: 'map',
      model,
      tokens: part.tokens,
      call: {
        path: '/api/generate',
        body: Buffer.from(JSON.stringify({ prompt: part.text })),
        tenant: 't',
        priority: 'batch',
        labels: [],
        work: '',
        deadlineMs: undefined,
      },
    }),
    taken: (_answer, said, part) => {
      taken.push(part.index)
      return said.text
    },
    seats: () => fleet.holders().reduce((sum, { seats }) => sum + seats, 0),
    maxParallel: options.maxParallel ?? 0,
    holes: options.holes ?? false,
  })
  async function all(): Promise<string[]> {
    await using _shelf = shelf
    using _runner = runner
    const texts: string[] = []
    for await (const done of fanOut.inOrder())
      texts.push('failed' in done ? `failed: ${done.failed}` : done.text)
    return texts
  }
  return {
    fanOut,
    runner,
    turns,
    taken,
    shelf,
    all,
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

const two: FakeBackend[] = [
  { name: 'a', seats: 2, msPerToken: 1 },
  { name: 'b', seats: 1, msPerToken: 1 },
]
const texts = (count: number) => Array.from({ length: count }, (_, index) => `text ${index}`)

describe('a fan-out', () => {
  it('gives the answers in the order of the input, whatever order they are finished in', async () => {
    const asked = texts(60).map((text, index) => text + 'x'.repeat((index * 37) % 90))
    const fleet = new FakeFleet(two)
    using run = setUp(fleet, asked)
    expect(await fleet.until(run.all())).toEqual(asked.map(answerTo))
    expect(run.taken).not.toEqual(run.taken.toSorted((a, b) => a - b))
  })

  it('has exactly one result for each part under any pattern of failures, hangs, babble and slow machines', async () => {
    const fate = fc.oneof(
      { weight: 6, arbitrary: fc.constant<Fate>({ kind: 'answers' }) },
      fc.constant<Fate>({ kind: 'fails', status: 502, code: 'upstream_failed' }),
      fc.constant<Fate>({ kind: 'fails', status: 503, code: 'queue_full' }),
      fc.constant<Fate>({ kind: 'babbles' }),
    )
    const backend = fc.record({
      seats: fc.integer({ min: 1, max: 3 }),
      msPerToken: fc.integer({ min: 1, max: 30 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(backend, { minLength: 1, maxLength: 4 }),
        fc.array(fc.string({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 30 }),
        fc.array(fate, { minLength: 1, maxLength: 40 }),
        async (made, asked, fates) => {
          const backends = made.map((each, index) => ({ ...each, name: `b${index}` }))
          const fleet = new FakeFleet(backends, (_backend, _prompt, count) => {
            // Somebody who is always sent away waits for ever; here there is room in the end.
            const index = count % (fates.length + 1)
            return fates[index] ?? { kind: 'answers' }
          })
          using run = setUp(fleet, asked, { holes: true })
          const got = await fleet.until(run.all())
          expect(got).toHaveLength(asked.length)
          for (const [index, text] of got.entries())
            expect(text.startsWith('failed: ') || text === answerTo(asked[index]!)).toBe(true)
          // Once taken, never again: a hedge that is answered later counts for nothing.
          expect(new Set(run.taken).size).toBe(run.taken.length)
          expect(run.taken).toHaveLength(got.filter((text) => !text.startsWith('failed: ')).length)
          await new Promise(setImmediate)
          expect([fleet.seatsUsed, fleet.waiting]).toEqual([0, 0])
        },
      ),
      { numRuns: 150 },
    )
  })

  it('leaves nothing under way when it is stopped in the middle', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 40 }), async (turnsBefore) => {
        const fleet = new FakeFleet(two)
        using run = setUp(fleet, texts(30))
        const failing = run.all().catch((error: Error) => error.message)
        for (let step = 0; step < turnsBefore; step++) {
          await new Promise(setImmediate)
          fleet.clock.pass(2)
        }
        run.fanOut.stop(new Error('the client left'))
        run.runner[Symbol.dispose]()
        expect([fleet.seatsUsed, fleet.waiting]).toEqual([0, 0])
        const result = await fleet.until(failing)
        if (run.taken.length < 30) expect(result).toBe('the client left')
        expect([fleet.seatsUsed, fleet.waiting]).toEqual([0, 0])
      }),
      { numRuns: 60 },
    )
  })

  it('asks a part elsewhere when a backend fails it', async () => {
    const fleet = new FakeFleet(two, (backend) =>
      backend === 'a' ? { kind: 'fails', status: 500 } : { kind: 'answers' },
    )
    using run = setUp(fleet, texts(5))
    expect(await fleet.until(run.all())).toEqual(texts(5).map(answerTo))
    expect(run.runner.retried).toBeGreaterThan(0)
    expect(
      run.turns.filter(({ state }) => state === 'retried').every(({ backend }) => backend === 'a'),
    ).toBe(true)
  })

  it('ends with the part that nobody could answer, and stops asking', async () => {
    const fleet = new FakeFleet(two, (_backend, prompt) =>
      prompt === 'text 3' ? { kind: 'fails', status: 500 } : { kind: 'answers' },
    )
    using run = setUp(fleet, texts(500))
    const error = await fleet.until(run.all().catch((caught: unknown) => caught))
    expect(error).toBeInstanceOf(PartFailed)
    expect((error as PartFailed).part.index).toBe(3)
    expect(fleet.calls.length).toBeLessThan(100)
    expect(fleet.calls.filter(({ prompt }) => prompt === 'text 3')).toHaveLength(3)
  })

  it('does not ask again what a backend refuses for its own sake', async () => {
    const fleet = new FakeFleet(two, () => ({ kind: 'fails', status: 400 }))
    using run = setUp(fleet, texts(1))
    await fleet.until(run.all().catch(() => undefined))
    expect(fleet.calls).toHaveLength(1)
  })

  it('leaves a hole where it may', async () => {
    const fleet = new FakeFleet(two, (_backend, prompt) =>
      prompt === 'text 1' ? { kind: 'fails', status: 500 } : { kind: 'answers' },
    )
    using run = setUp(fleet, texts(3), { holes: true })
    const got = await fleet.until(run.all())
    expect(got).toEqual(['<text 0>', expect.stringContaining('failed: '), '<text 2>'])
  })

  it('waits, without counting it, while there is no room', async () => {
    let sentAway = 0
    const fleet = new FakeFleet(two, () =>
      sentAway++ < 20 ? { kind: 'fails', status: 503, code: 'queue_full' } : { kind: 'answers' },
    )
    using run = setUp(fleet, texts(4))
    expect(await fleet.until(run.all())).toEqual(texts(4).map(answerTo))
    expect(run.runner.retried).toBe(0)
  })

  it.each([
    ['of which nothing is known', 40],
    ['that is known to be slow', 80],
  ])(
    'begins the last part a second time when a fast machine is idle beside one %s',
    async (_what, count) => {
      const fleet = new FakeFleet([
        { name: 'fast', seats: 1, msPerToken: 1 },
        { name: 'slow', seats: 1, msPerToken: 50 },
      ])
      const asked = texts(count).map((text) => text.padEnd(8, '.'))
      using run = setUp(fleet, asked)
      expect(await fleet.until(run.all(), 1)).toEqual(asked.map(answerTo))
      expect(run.runner.hedged).toBe(1)
      expect(fleet.cancelled).toBe(1)
      expect(run.turns.at(-1)).toMatchObject({ state: 'answered', backend: 'fast' })
    },
  )

  it('begins a part that has stopped a second time', async () => {
    let hung = false
    const fleet = new FakeFleet(two, (backend) => {
      if (backend !== 'b' || hung) return { kind: 'answers' }
      hung = true
      return { kind: 'hangs' }
    })
    using run = setUp(fleet, texts(12))
    expect(await fleet.until(run.all())).toEqual(texts(12).map(answerTo))
    expect(run.runner.hedged).toBe(1)
  })

  it('has no more in flight than it is allowed', async () => {
    const fleet = new FakeFleet([{ name: 'a', seats: 16, msPerToken: 1 }])
    using run = setUp(fleet, texts(40), { maxParallel: 3 })
    await fleet.until(run.all())
    expect(fleet.mostAtOnce).toBe(3)
  })

  it('is never further ahead of the oldest unfinished part than its window', async () => {
    const fleet = new FakeFleet(two, (_backend, prompt) =>
      prompt === 'text 0' ? { kind: 'hangs' } : { kind: 'answers' },
    )
    using run = setUp(fleet, texts(1_000))
    void run.all().catch(() => {})
    for (let step = 0; step < 3_000; step++) {
      await new Promise(setImmediate)
      fleet.clock.pass(5)
    }
    // 64, besides the one that hangs; the tail of a window is no tail of the run, so nothing is hedged either.
    expect(fleet.calls.length).toBe(63)
    run.fanOut.stop(new Error('enough'))
    run.runner[Symbol.dispose]()
  })

  it('puts answers that wait for their turn into a file beyond a bound, and gives them back whole', async () => {
    const asked = texts(50).map((text, index) => (index === 0 ? 'z'.repeat(2_000) : `${text} é😀`))
    const fleet = new FakeFleet([{ name: 'a', seats: 4, msPerToken: 1 }])
    using run = setUp(fleet, asked, { shelfBytes: 100 })
    const got = await fleet.until(run.all())
    expect(got).toEqual(asked.map(answerTo))
    expect(run.shelf.memoryBytes).toBe(0)
  })
})
