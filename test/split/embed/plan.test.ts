import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Batch,
  type EmbedSplit,
  type Machine,
  planBatch,
} from '../../../src/split/embed/plan.ts'
import { readInput } from '../../../src/split/embed/read.ts'
import { finishMs, type Lane, nextPartEnd, partMs } from '../../../src/split/embed/sizes.ts'
import { Weights } from '../../../src/split/embed/weight.ts'
import { machineOf, texts } from './help.ts'

const batchOf = (more: Partial<Batch> = {}): Batch => ({
  items: 64,
  textBytes: 40_000,
  weight: 44_096,
  contextAsked: undefined,
  surelyFits: () => true,
  ...more,
})
/** Classes named alike but for their last letter are near enough. */
const near = (one: Machine, other: Machine) => one.classId?.[0] === other.classId?.[0]
const plan = (
  machines: readonly Machine[],
  more: Partial<Batch> = {},
  setting: EmbedSplit = 'same-class',
) => planBatch(batchOf(more), machines, setting, near)
const two = [machineOf('a'), machineOf('b')]
const names = (done: ReturnType<typeof plan>) =>
  done.kind === 'split' ? done.members.map(({ machine }) => machine.name).sort() : done.why

describe('a batch goes whole to one backend', () => {
  it.each<[string, string, readonly Machine[], Partial<Batch>, EmbedSplit?]>([
    ['off', 'it is switched off', two, {}, 'off'],
    ['small', 'it has few items', two, { items: 15 }],
    ['small', 'it has little text', two, { textBytes: 8_191 }],
    ['oneBackend', 'there is one', [machineOf('a')], {}],
    [
      'oneBackend',
      'there is one, whose seats one request fills by itself',
      [machineOf('a', { seats: 8 })],
      {},
    ],
    ['unmeasured', 'nobody was measured', two.map((each) => ({ ...each, classId: undefined })), {}],
    ['unmeasured', 'one was not', [machineOf('a'), machineOf('b', { classId: undefined })], {}],
    ['otherNumbers', 'classes differ', [machineOf('a'), machineOf('b', { classId: 'x' })], {}],
    [
      'otherNumbers',
      'classes differ by little, which is not asked for',
      [machineOf('a'), machineOf('b', { classId: 'a2' })],
      {},
    ],
    [
      'otherNumbers',
      'classes differ by much',
      [machineOf('a'), machineOf('b', { classId: 'x' })],
      {},
      'all',
    ],
    ['longItems', 'an item may not fit', two, { surelyFits: () => false }],
    ['largeAnswer', 'its answer would not fit into memory', two, { items: 100_000 }],
    [
      'notWorthLoading',
      'the others would have to load first',
      [machineOf('a'), machineOf('b', { resident: false })],
      {},
    ],
  ])('%s: when %s', (why, _, machines, more, setting) => {
    expect(names(plan(machines, more, setting))).toBe(why)
  })
})

describe('a batch is split', () => {
  it('over all of a class', () => {
    expect(names(plan(two))).toEqual(['a', 'b'])
  })

  it('over the most powerful class only', () => {
    const machines = [
      machineOf('a', { weightPerMs: 200 }),
      machineOf('b', { classId: 'x', weightPerMs: 150 }),
      machineOf('c', { classId: 'x', weightPerMs: 150 }),
      machineOf('d', { classId: undefined, weightPerMs: 900 }),
    ]
    expect(names(plan(machines))).toEqual(['b', 'c'])
  })

  it('over a class of several that is less powerful than one machine alone, but not than the mean', () => {
    const several = [machineOf('b', { classId: 'x' }), machineOf('c', { classId: 'x' })]
    expect(names(plan([machineOf('a', { weightPerMs: 350 }), ...several]))).toEqual(['b', 'c'])
    // Whole, it goes to any of the three, which is then the better choice.
    expect(names(plan([machineOf('a', { weightPerMs: 450 }), ...several]))).toBe('otherNumbers')
  })

  it('over classes that are near enough to all others, where that is allowed', () => {
    const machines = [
      machineOf('a', { weightPerMs: 200 }),
      machineOf('b', { classId: 'a2' }),
      machineOf('c', { classId: 'x' }),
    ]
    expect(names(plan(machines, {}, 'all'))).toEqual(['a', 'b'])
  })

  it('also over those who must load first, when it takes longer than that', () => {
    const machines = [machineOf('a'), machineOf('b', { resident: false })]
    expect(names(plan(machines, { weight: 100 * 6_000 }))).toEqual(['a', 'b'])
  })

  it('and never mixes classes under same-class, nor far ones under all', () => {
    const machine = fc
      .record({
        classId: fc.constantFrom('a', 'a2', 'x', 'x2', 'y', undefined),
        weightPerMs: fc.option(fc.integer({ min: 1, max: 900 }), { nil: undefined }),
        resident: fc.boolean(),
        seats: fc.integer({ min: 1, max: 4 }),
      })
      .map((more) => machineOf('m', more))
    fc.assert(
      fc.property(
        fc.array(machine, { maxLength: 12 }),
        fc.constantFrom<EmbedSplit>('same-class', 'all'),
        fc.integer({ min: 1, max: 2_000_000 }),
        (given, setting, weight) => {
          const machines = given.map((each, index) => ({ ...each, name: `m${index}` }))
          const done = plan(machines, { weight }, setting)
          if (done.kind === 'whole') return
          const ids = done.members.map(({ machine: { classId } }) => classId!)
          expect(ids.length).toBeGreaterThan(1)
          expect(ids).not.toContain(undefined)
          const heads = setting === 'all' ? ids.map((id) => id[0]) : ids
          expect(new Set(heads).size).toBe(1)
        },
      ),
    )
  })
})

describe('long items', () => {
  const asked = (machines: readonly Machine[], more: Partial<Batch> = {}) => {
    const contexts: number[] = []
    const surelyFits = (context: number) => {
      contexts.push(context)
      return true
    }
    expect(plan(machines, { surelyFits, ...more }).kind).toBe('split')
    return contexts
  }

  it('must fit the smallest default context, or that of a smaller runner', () => {
    const large = machineOf('a', { contextDefault: 32_768 })
    expect(asked([large, machineOf('b')])).toEqual([4_096])
    expect(asked([large, machineOf('b', { contextLoaded: 2_048 })])).toEqual([2_048])
    // A runner with more than the default was loaded for somebody else.
    expect(asked([large, machineOf('b', { contextLoaded: 131_072 })])).toEqual([4_096])
  })

  it('need not be looked at where the model itself cuts before any of the contexts', () => {
    const trained = { contextTrained: 512, contextLoaded: 512 }
    expect(asked([machineOf('a', trained), machineOf('b', trained)])).toEqual([])
    expect(
      asked([machineOf('a', trained), machineOf('b', { ...trained, contextLoaded: 256 })]),
    ).toEqual([256])
    const otherProgram = machineOf('b', { ...trained, version: '0.12.0' })
    expect(asked([machineOf('a', trained), otherProgram])).toEqual([512])
  })

  it('need not be looked at where the client said the context itself', () => {
    expect(asked(two, { contextAsked: 256 })).toEqual([])
  })
})

describe('measuring', () => {
  const unmeasured = { classId: undefined }
  it('is asked for only when a batch would profit, and not where loading could hurt', () => {
    const machines = [
      machineOf('a', unmeasured),
      machineOf('b', { ...unmeasured, resident: false }),
      machineOf('c', { ...unmeasured, resident: false, mayLoadQuietly: true }),
      machineOf('d'),
    ]
    expect(plan(machines).measure.map(({ name }) => name)).toEqual(['a', 'c'])
    expect(plan(machines, { items: 4 }).measure).toEqual([])
    expect(plan(machines, {}, 'off').measure).toEqual([])
  })
})

describe('sizes', () => {
  const weights = (items: readonly string[]) =>
    new Weights(readInput(Buffer.from(JSON.stringify({ input: items })))!, 8_192)

  it('end together: nobody who is busy longer is counted', () => {
    const lane = (freeInMs: number, weightPerMs = 1): Lane => ({ freeInMs, weightPerMs })
    expect(finishMs(100, [lane(0), lane(0)])).toBe(50)
    expect(finishMs(100, [lane(0), lane(20)])).toBe(60)
    expect(finishMs(100, [lane(0), lane(500)])).toBe(100)
    expect(finishMs(130, [lane(0, 12), lane(0, 1)])).toBe(10)
  })

  /** Plays machines of true speeds that are believed to have others; gives the time until all is done. */
  function play(items: readonly string[], speeds: readonly number[], believed = speeds): number {
    const table = weights(items)
    const busy = speeds.map(() => ({ untilMs: 0, believedMs: 0 }))
    let from = 0
    let nowMs = 0
    for (;;) {
      const order = [...speeds.keys()].sort((one, other) => believed[other]! - believed[one]!)
      for (const index of order) {
        if (busy[index]!.untilMs > nowMs || from === items.length) continue
        const others = order
          .filter((other) => other !== index)
          .map((other) => ({
            freeInMs: Math.max(0, busy[other]!.believedMs - nowMs),
            weightPerMs: believed[other]!,
          }))
        const mine = { freeInMs: 0, weightPerMs: believed[index]! }
        const left = { from, to: items.length, weight: table.of(from, items.length) }
        const end = nextPartEnd(mine, others, table, left)
        if (end === undefined) continue
        expect(end).toBeGreaterThan(from)
        const weight = table.of(from, end)
        busy[index] = {
          untilMs: nowMs + partMs + weight / speeds[index]!,
          believedMs: nowMs + partMs + weight / believed[index]!,
        }
        from = end
      }
      const next = busy.map(({ untilMs }) => untilMs).filter((untilMs) => untilMs > nowMs)
      if (next.length === 0) {
        expect(from).toBe(items.length)
        return nowMs
      }
      nowMs = Math.min(...next)
    }
  }

  /** When all could be done if everybody took one part of just the right whole number of items. */
  function ideal(count: number, speeds: readonly number[]): number {
    const itemMs = speeds.map((speed) => 664 / speed)
    let ms = partMs
    while (itemMs.reduce((sum, each) => sum + Math.floor((ms - partMs) / each), 0) < count)
      ms += 0.5
    return ms
  }

  // Shares were rounded one machine after another, and what was left over went to the slowest of them: sixteen items
  // took a third longer than they had to.
  it.each([
    [[3.21, 5.92, 11.37, 31.11]],
    [[2.99, 5.93, 11.5, 31]],
    [[2, 3.4, 7, 19]],
    [[2.6, 5.1, 10.2, 30.4]],
  ])('keep to whole items where all takes one short round, at %j ms for an item', (itemMs) => {
    const speeds = itemMs.map((ms) => 664 / ms)
    for (const count of [16, 17, 18, 19, 20])
      expect(play(texts(count), speeds) / ideal(count, speeds)).toBeLessThan(1.08)
  })

  /** A fast machine that takes 1.5 ms for an item, and slower ones, the slowest a twelfth of it. */
  const fast = 664 / 1.5
  it.each([
    [[12, 1]],
    [[12, 6, 3, 1]],
    [[12, 12, 1, 1, 1, 1]],
    [[1, 1, 1]],
    [[12, 4, 4, 4, 2, 1, 1, 1]],
  ])('make machines of speeds %j finish together, from 16 to 4096 items', (shares) => {
    const speeds = shares.map((share) => (fast * share) / 12)
    for (const count of [16, 32, 64, 128, 256, 512, 1_024, 4_096]) {
      const items = texts(count)
      const best = ideal(count, speeds)
      const took = play(items, speeds)
      const wrong = speeds.map((each, index) => each * (index % 2 === 0 ? 1.2 : 0.8))
      const tookWrong = play(items, speeds, wrong)
      // Each further part costs its way there and back: in a blink of an eye that shows, and nobody sees it.
      expect(took).toBeLessThanOrEqual(best * 1.1 + (best < 100 ? 15 : 0))
      if (best > 100) expect(tookWrong).toBeLessThanOrEqual(best * 1.2)
    }
  })

  it('always give something to somebody', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 60 }),
        fc.array(fc.double({ min: 0.5, max: 900, noNaN: true }), { minLength: 1, maxLength: 8 }),
        (lengths, speeds) => {
          const items = lengths.map((length) => 'x'.repeat(length))
          expect(play(items, speeds)).toBeGreaterThan(0)
        },
      ),
    )
  })
})
