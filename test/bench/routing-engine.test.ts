import { describe, expect, it } from 'vitest'
import { Agenda } from '../../bench/routing/engine/agenda.ts'
import type { MachineSpec, ModelSpec, Request } from '../../bench/routing/engine/specs.ts'
import { type Incident, type Policy, type Switch, World } from '../../bench/routing/engine/world.ts'
import { poissonGaps } from '../../bench/routing/traffic/arrivals.ts'
import { plainRequest, Texts } from '../../bench/routing/traffic/trace.ts'
import { seededDice } from '../../src/core/dice.ts'

const texts = new Texts()
const spec: MachineSpec = {
  ...{ name: 'm', prefillPerSecond: 1_000, decodePerSecond: 10, kappa: 0.5, slots: 2 },
  ...{ modelsMax: 2, loadFactor: 1 },
}
const models: readonly ModelSpec[] = ['a', 'b', 'c'].map((name) => ({
  ...{ name, speed: 1, loadSeconds: 5 },
}))

function request(id: number, atMs: number, more: Partial<Request> = {}): Request {
  return plainRequest(texts, { id, atMs, promptTokens: 1_000, outputTokens: 10, ...more })
}

/** Everything goes to the first machine at once. */
function straight(view: Switch): Policy {
  return {
    arrived: (each) => {
      view.send(each, 0)
    },
    ended() {},
    failed: ({ request: each }) => view.refuse(each),
  }
}

function played(
  trace: readonly Request[],
  more: { spec?: Partial<MachineSpec>; incidents?: Incident[]; preloaded?: number[] } = {},
): World {
  const world = new World({
    ...{ machines: [{ ...spec, ...more.spec }], models, trace, foreign: [] },
    ...{ incidents: more.incidents ?? [], preloaded: [more.preloaded ?? [0]] },
    dice: seededDice(1),
  })
  world.play(straight)
  return world
}

const endsOf = (world: World) => world.outcomes.map(({ endMs }) => Math.round(endMs))

describe('the agenda', () => {
  it('plays in the order of time, and what is due at one moment in the order of its coming', () => {
    const agenda = new Agenda()
    const seen: number[] = []
    for (const at of [5, 1, 3, 1, 9, 2, 1]) agenda.at(at, () => seen.push(at * 10 + seen.length))
    agenda.playUntil(5)
    expect(seen).toEqual([10, 11, 12, 23, 34, 55])
    expect(agenda.nowMs).toBe(5)
  })

  it('keeps its order over thousands of random moments', () => {
    const agenda = new Agenda()
    const dice = seededDice(3)
    let last = 0
    let count = 0
    for (let each = 0; each < 5_000; each++) {
      const at = Math.floor(1_000 * dice.roll())
      agenda.at(at, () => {
        expect(at).toBeGreaterThanOrEqual(last)
        last = at
        count++
      })
    }
    agenda.playUntil(1_000)
    expect(count).toBe(5_000)
  })
})

describe('a virtual machine', () => {
  it('reads and speaks at its own speeds when nobody else is there', () => {
    // 1,000 tokens at 1,000 a second, then 10 at 10 a second.
    const world = played([request(0, 0)])
    expect(world.outcomes[0]!.firstMs).toBeCloseTo(1_000)
    expect(endsOf(world)).toEqual([2_000])
  })

  it('is shared: two read half as fast, two speak 1 + kappa slower', () => {
    // Both have read after 2 s; each step of 100 ms then takes 150.
    expect(endsOf(played([request(0, 0), request(1, 0)]))).toEqual([3_500, 3_500])
  })

  it('lets a speaker have one token for each batch that is read beside it', () => {
    // The first speaks alone from 1.0 s; the second reads from 1.2 to 2.2 s, with steps of 100 + 512 ms meanwhile.
    const world = played([request(0, 0), request(1, 1_200)])
    // 2 tokens by 1.2 s, 1,000 / 612 more by 2.2 s, the rest at 150 ms each.
    const left = 10 - 2 - 1_000 / 612
    expect(world.outcomes[0]!.endMs).toBeCloseTo(2_200 + left * 150, 3)
  })

  it('lets a third wait for a slot, first come first served', () => {
    const world = played([request(0, 0), request(1, 0), request(2, 0), request(3, 1)])
    expect(endsOf(world).map((end) => end > 3_501)).toEqual([false, false, true, true])
    const [, , third, fourth] = world.outcomes
    expect(third!.firstMs).toBeLessThanOrEqual(fourth!.firstMs)
  })

  it('loads a model that is not there, one at a time, and holds up those behind', () => {
    const trace = [request(0, 0, { model: 1 }), request(1, 1, { model: 2 })]
    const world = played(trace, { preloaded: [], spec: { modelsMax: 3 } })
    // 5 s each, one after the other; 2 s of work each, and the second reads beside nobody.
    expect(endsOf(world)).toEqual([7_000, 12_000])
    expect(world.machines[0]!.loads).toBe(2)
  })

  it('pushes out the idle one by name where keep-alives are equal, and waits for memory', () => {
    let resident: number[] = []
    const look: Incident = {
      atMs: 7_500,
      befall([machine]) {
        resident = [...machine!.resident].sort()
      },
    }
    const preloaded = [1, 0]
    const world = played([request(0, 0, { model: 2 })], { preloaded, incidents: [look] })
    expect(resident).toEqual([1, 2])
    // A second until the memory is free, five for the load, two for the work.
    expect(endsOf(world)).toEqual([8_000])
  })

  it('waits with a load for a busy model, and holds up all behind it meanwhile', () => {
    const trace = [
      request(0, 0, { outputTokens: 100 }),
      request(1, 10, { model: 1 }),
      request(2, 20, { model: 2 }),
    ]
    const world = played(trace, { preloaded: [0], spec: { modelsMax: 1 } })
    const [first, second, third] = endsOf(world)
    expect(first).toBe(11_000)
    expect(second).toBe(11_000 + 1_000 + 5_000 + 2_000)
    expect(third).toBe(second! + 1_000 + 5_000 + 2_000)
  })

  it('need not read again what a slot still holds, and forgets it with the model', () => {
    const first = request(0, 0, { chain: [-1], chainTokens: [1_000], answer: -2 })
    const chain = [-1, -2, -3]
    const next = { chain, chainTokens: [1_000, 1_010, 1_500], promptTokens: 1_500 }
    const world = played([first, request(1, 10_000, next)])
    expect(world.outcomes[1]!.cachedTokens).toBe(1_010)
    expect(world.outcomes[1]!.firstMs).toBeCloseTo(10_490)
    const away = [first, request(1, 5_000, { model: 1 }), request(2, 30_000, next)]
    expect(played(away, { spec: { modelsMax: 1 } }).outcomes[2]!.cachedTokens).toBe(0)
  })

  it('loses everything when it is killed, stands still when frozen, and says how far it was', () => {
    const killed = played([request(0, 0)], {
      incidents: [{ atMs: 1_550, befall: ([machine]) => machine!.kill() }],
    })
    expect(killed.outcomes[0]).toMatchObject({ isGood: false, endMs: 1_550 })
    const frozen = played([request(0, 0)], {
      incidents: [
        { atMs: 1_500, befall: ([machine]) => machine!.freeze() },
        { atMs: 4_500, befall: ([machine]) => machine!.thaw() },
      ],
    })
    expect(endsOf(frozen)).toEqual([5_000])
  })

  it('has the mean time in system of an M/M/1 with shared processing', () => {
    // One token of prompt and answers of geometric length; shared with kappa 1 it is a processor shared evenly.
    const dice = seededDice(11)
    const gaps = poissonGaps(dice)
    let atMs = 0
    const trace = Array.from({ length: 20_000 }, (_, id) => {
      atMs += gaps() * 1_000
      const outputTokens = Math.max(1, Math.round(-Math.log(1 - dice.roll()) * 60))
      return request(id, atMs, { promptTokens: 1, outputTokens })
    })
    const sharing = { kappa: 1, slots: 100, decodePerSecond: 100, prefillPerSecond: 1e9 }
    const world = played(trace, { spec: sharing })
    const mean = world.outcomes.reduce(
      (sum, { endMs, request: each }) => sum + endMs - each.atMs,
      0,
    )
    // Work of 0.6 s at one a second: 0.6 / (1 - 0.6) = 1.5 s.
    expect(mean / trace.length / 1_500).toBeCloseTo(1, 1)
  })
})
