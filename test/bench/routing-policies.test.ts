import { describe, expect, it } from 'vitest'
import { playCell } from '../../bench/routing/cell.ts'
import type { MachineSpec, Request } from '../../bench/routing/engine/specs.ts'
import { type PolicyMaker, World } from '../../bench/routing/engine/world.ts'
import { central } from '../../bench/routing/policies/central.ts'
import { herd } from '../../bench/routing/policies/herd.ts'
import { pushing } from '../../bench/routing/policies/peer.ts'
import * as rules from '../../bench/routing/policies/rules.ts'
import { scenarios } from '../../bench/routing/scenarios/scenarios.ts'
import { plainRequest, Texts } from '../../bench/routing/traffic/trace.ts'
import { seededDice } from '../../src/core/dice.ts'

const spec: MachineSpec = {
  ...{ name: 'm', prefillPerSecond: 1_000, decodePerSecond: 10, kappa: 0, slots: 1 },
  ...{ modelsMax: 1, loadFactor: 1 },
}
const texts = new Texts()

/** Where each request went that came one after another, so long before anything ended. */
function placesOf(maker: PolicyMaker, requests: readonly Partial<Request>[], count = 3): number[] {
  const trace = requests.map((more, id) =>
    plainRequest(texts, { id, atMs: id, promptTokens: 10, outputTokens: 100, ...more }),
  )
  const world = new World({
    machines: Array.from({ length: count }, (_, index) => ({ ...spec, name: `m${index}` })),
    ...{ models: [{ name: 'a', speed: 1, loadSeconds: 1 }], trace, foreign: [], incidents: [] },
    ...{ preloaded: Array.from({ length: count }, () => [0]), dice: seededDice(1) },
  })
  world.play(maker)
  return world.outcomes.map(({ machine }) => machine)
}

const six = Array.from({ length: 6 }, () => ({}))

describe('the rules of the peers', () => {
  it('round robin gives each its turn', () => {
    expect(placesOf(pushing(rules.roundRobin), six)).toEqual([0, 1, 2, 0, 1, 2])
  })

  it('least_conn compares connections over weight, ties in turn', () => {
    expect(placesOf(pushing(rules.leastConn, [4, 1, 1]), six)).toEqual([0, 1, 2, 0, 0, 0])
  })

  it('Olla and LiteLLM least-busy take the first of those with the fewest', () => {
    expect(placesOf(pushing(rules.firstOfLeast), six.slice(0, 4))).toEqual([0, 1, 2, 0])
  })

  it('a central queue with maxconn sends no server more than its slots, and the line goes to whoever ends first', () => {
    const requests = [{ outputTokens: 100 }, { outputTokens: 10 }, { outputTokens: 50 }, {}, {}]
    expect(placesOf(central([1, 1, 1]), requests)).toEqual([0, 1, 2, 1, 2])
  })

  it('a central queue serves the urgent class first', () => {
    const requests: Partial<Request>[] = [
      { outputTokens: 50 },
      { band: 'batch' },
      { band: 'interactive' },
      {},
    ]
    const classOf = ({ band }: Request) => (band === 'interactive' ? 0 : band === 'batch' ? 2 : 1)
    const order: string[] = []
    const maker: PolicyMaker = (view) => {
      const policy = central([1], undefined, classOf)(view)
      return {
        ...policy,
        ended(visit) {
          order.push(visit.request.band)
          policy.ended(visit)
        },
      }
    }
    placesOf(maker, requests, 1)
    expect(order).toEqual(['normal', 'interactive', 'normal', 'batch'])
  })

  it('a hash keeps a session where it is, and a bounded one passes on what would be too much there', () => {
    const sessions = Array.from({ length: 6 }, () => ({ session: 'one' }))
    expect(new Set(placesOf(pushing(rules.pureSticky), sessions)).size).toBe(1)
    const bounded = placesOf(pushing(rules.boundedHash), sessions)
    // Of six, none has more than 1.25 times a third, rounded up.
    for (const machine of [0, 1, 2])
      expect(bounded.filter((each) => each === machine).length).toBeLessThanOrEqual(3)
  })

  it('Olla sticky goes back to where the session was', () => {
    const requests = ['x', 'y', 'x', 'x', 'y'].map((session) => ({ session }))
    expect(placesOf(pushing(rules.ollaSticky), requests)).toEqual([0, 1, 0, 0, 1])
  })

  it('LiteLLM latency-based replaces only the last of its ten samples', () => {
    const memory = { samples: [[]] as number[][], places: new Map(), turns: 0 }
    const visit = { machine: 0, sentMs: 0, outputTokens: 1 }
    for (let firstMs = 1; firstMs <= 12; firstMs++)
      rules.litellmLearn({ ...visit, firstMs } as never, memory)
    expect(memory.samples[0]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 12])
  })
})

/** What became of requests at machines of two models' memory, under ollama-herd's rule. */
function herded(
  requests: readonly Partial<Request>[],
  fleet: readonly { decode: number; slots?: number; holds: readonly number[] }[],
) {
  const trace = requests.map((more, id) =>
    plainRequest(texts, { id, atMs: id, promptTokens: 10, outputTokens: 100, ...more }),
  )
  const world = new World({
    machines: fleet.map(({ decode, slots = 1 }, index) => ({
      ...{ ...spec, name: `m${index}`, modelsMax: 2 },
      ...{ decodePerSecond: decode, slots },
    })),
    models: [10, 10, 2].map((loadSeconds, index) => ({ name: `${index}`, speed: 1, loadSeconds })),
    ...{ trace, foreign: [], incidents: [], dice: seededDice(1) },
    preloaded: fleet.map(({ holds }) => holds),
  })
  world.play(herd)
  return { places: world.outcomes.map(({ machine }) => machine), world }
}

describe('the rule of ollama-herd', () => {
  it('prefers what is in memory to what is fast', () => {
    const fleet = [
      { decode: 100, holds: [1] },
      { decode: 20, holds: [0] },
    ]
    expect(herded([{ model: 0 }], fleet).places).toEqual([1])
  })

  it('sends small models to slow machines', () => {
    const fleet = [
      { decode: 100, holds: [0, 2] },
      { decode: 20, holds: [0, 2] },
    ]
    expect(herded([{ model: 0 }, { model: 2 }], fleet).places).toEqual([0, 1])
  })

  it('sees no other model’s line at a machine', () => {
    const fleet = [
      { decode: 100, holds: [0, 1] },
      { decode: 50, holds: [0, 1] },
    ]
    const busy = [{ model: 0 }, { model: 0 }, { model: 0 }, { model: 0 }]
    expect(herded([...busy, { model: 1 }], fleet).places[4]).toBe(0)
  })

  it('has another machine load what three are in line for', () => {
    const fleet = [
      { decode: 10, holds: [0] },
      { decode: 9, holds: [] },
    ]
    const busy = Array.from({ length: 3 }, () => ({ model: 0, outputTokens: 200 }))
    const { places, world } = herded([...busy, { model: 0, atMs: 20_000 }], fleet)
    expect(places.slice(0, 3)).toEqual([0, 0, 0])
    expect(world.machines[1]!.loads).toBe(1)
    expect(places[3]).toBe(1)
  })

  it('lets in as many as run in parallel, and moves who waits in a long line to another that has the model', () => {
    const fleet = [
      { decode: 10, holds: [0] },
      { decode: 1, holds: [0] },
    ]
    const { places } = herded(
      Array.from({ length: 9 }, () => ({ model: 0 })),
      fleet,
    )
    const fast = places.filter((place) => place === 0).length
    expect(fast).toBeGreaterThan(4)
    expect(fast).toBeLessThan(9)
  })
})

describe('a run of the study', () => {
  const b1 = scenarios.find(({ word }) => word === 'B1')!
  const variant = b1.variants.find(({ isDecisive }) => isDecisive)!
  const run = (policy: string, seed: number) => {
    const cell = { scenario: 'B1', variant, policy, seed, requests: 300, recorded: undefined }
    const { decide50Us: _, decide99Us: __, ...figures } = playCell(cell).figures
    return figures
  }

  it('is the same for the same seed, for ours as for a peer', () => {
    expect(run('ours', 3)).toEqual(run('ours', 3))
    expect(run('litellm-latency', 3)).toEqual(run('litellm-latency', 3))
    expect(run('ours', 3)).not.toEqual(run('ours', 4))
  })

  it('serves every request, whoever decides', () => {
    for (const policy of ['ours', 'ours-told', 'ours-busy', 'maxconn', 'clairvoyant'])
      expect(run(policy, 2)).toMatchObject({ errors: 0, unfinished: 0 })
  })
})
