import { describe, expect, it } from 'vitest'
import type { EndpointView } from '../../src/core/endpoint-view.ts'
import { Dispatcher } from '../../src/routing/dispatcher.ts'
import type { Keeping, Tastes } from '../../src/routing/field.ts'
import { Line } from '../../src/routing/line.ts'
import { type Need, needKey } from '../../src/routing/need.ts'
import { endpointOf, needOf, routingOf } from './help.ts'
import { type Guest, type Machine, Scene, size } from './scene.ts'

function walked(machines: readonly Machine[], guests: number, tastes: Tastes = {}): string {
  const scene = new Scene(machines, tastes)
  for (let each = 0; each < guests; each++) scene.come()
  return scene.walk()
}

/** Who serves each of so many that come one after another, each when nothing runs any more. */
function firstOnes(machines: readonly Machine[], guests: number): string {
  const scene = new Scene(machines)
  const served: string[] = []
  for (let each = 0; each < guests; each++) {
    scene.come()
    served.push(scene.walk().split('@')[1]!)
    scene.clear()
  }
  return served.join(' ')
}

const fast = { name: 'fast', tokenS: 0.01 }
const slow = { name: 'slow', tokenS: 0.03 }
const snail = { name: 'snail', tokenS: 0.2 }

describe('a decision', () => {
  it('gives a request to the machine that is done with it first', () => {
    expect(walked([slow, fast, snail], 1)).toBe('1@fast')
  })

  it('fills seats by what they cost, and lets who is behind begin on a slower one', () => {
    expect(walked([slow, fast], 2)).toBe('1@fast 2@slow')
  })

  it('promises a busy fast seat rather than take a free one that is slower by far', () => {
    expect(walked([fast, snail], 2)).toBe('1@fast 2…fast')
  })

  it('plans anew each time: what was promised before keeps no seat busy', () => {
    const scene = new Scene([fast, snail])
    scene.come()
    expect(scene.walk()).toBe('1@fast')
    const one = scene.come()
    const promised = scene.dispatcher.decide(scene.line, scene.nowMs)
    for (let again = 0; again < 5; again++)
      expect(scene.dispatcher.decide(scene.line, scene.nowMs)).toEqual(promised)
    expect(promised).toMatchObject([{ kind: 'promise', waiting: one, endpoint: 'fast' }])
  })

  it('takes that slow seat when many wait: their time counts as well', () => {
    expect(walked([fast, snail], 12)).toMatch(/^1@fast 2@snail/)
  })

  it('keeps the last quick seats from batch work while people come, and not for ever', () => {
    // Nobody would call the other one quick: its seat is not among those that are kept.
    const scene = new Scene([
      { ...fast, seats: 8 },
      { ...snail, tokenS: 0.5 },
    ])
    scene.dispatcher.arrived('m:latest', 'interactive', scene.nowMs)
    for (let each = 0; each < 12; each++) scene.come({ priority: 'batch' })
    for (let round = 0; round < 3; round++) scene.walk()
    expect(scene.used('fast')).toBe(6)
    scene.come({ name: 'person', priority: 'interactive' })
    expect(scene.walk()).toContain('person@fast')
    scene.nowMs += 60_000
    for (let round = 0; round < 3; round++) scene.walk()
    expect(scene.used('fast')).toBe(8)
  })

  it('lets equal machines take turns', () => {
    const twins = ['a', 'b', 'c'].map((name) => ({ name, tokenS: 0.01, seats: 4 }))
    expect(walked(twins, 6)).toBe('1@a 2@b 3@c 4@a 5@b 6@c')
  })

  // Two of three idle twins once got half of what came: a few slow moments had made the others look a third slower.
  it('lets idle machines take turns that differ by no more than measuring does', () => {
    const noisy = (name: string, tokenS: number) => ({
      ...{ name, tokenS, seats: 4 },
      measured: [1, 0.7, 1.3, 0.8, 1.2, 1].map((each) => each * tokenS),
    })
    const once = (tokenS: number) => ({ name: 'once', tokenS, measured: [tokenS] })
    const twins = [noisy('a', 0.01), noisy('b', 0.0119), noisy('c', 0.0122)]
    expect(firstOnes(twins, 6)).toBe('a b c a b c')
    expect(firstOnes([noisy('a', 0.01), once(0.0135)], 4)).toBe('a once a once')
  })

  it('gives all to the faster of two idle ones, by a third, once both are known', () => {
    const known = [fast, { ...fast, name: 'third', tokenS: 0.0133 }]
    expect(firstOnes(known, 4)).toBe('fast fast fast fast')
    const noisy = known.map((each) => ({
      ...each,
      measured: Array.from({ length: 40 }, (_, at) => each.tokenS * (at % 2 ? 0.8 : 1.2)),
    }))
    expect(firstOnes(noisy, 4)).toBe('fast fast fast fast')
  })

  // A tie of 20 ms whatever the request: one text to embed, 2.5 ms of work, went to machines in turn of which one
  // needed four times as long.
  it('sends what takes milliseconds to the machine that takes fewest', () => {
    const quick = (name: string, tokenS: number) => ({
      ...{ name, tokenS, seats: 4 },
      measured: Array.from({ length: 40 }, () => tokenS),
    })
    expect(firstOnes([quick('a', 0.000_1), quick('b', 0.000_25), quick('c', 0.000_28)], 4)).toBe(
      'a a a a',
    )
  })

  it('counts what a further stream costs those that run', () => {
    const machines = [
      { name: 'shared', tokenS: 0.01, seats: 4 },
      { name: 'idle', tokenS: 0.0118, seats: 4 },
    ]
    expect(walked(machines, 2)).toBe('1@shared 2@idle')
  })

  it('goes where the beginning of the prompt is in memory, as far as that is worth the seconds', () => {
    const cachedTokens = (tokens: number) => ({
      cachedTokens: (endpoint: EndpointView) => (endpoint.name === 'warm' ? tokens : 0),
    })
    const machines = [
      { name: 'warm', tokenS: 0.0102 },
      { name: 'quick', tokenS: 0.01 },
    ]
    // A hundred tokens are read in the time of five that are written.
    expect(walked([{ ...machines[0]!, tokenS: 0.0104 }, machines[1]!], 1)).toBe('1@quick')
    expect(walked([{ ...machines[0]!, tokenS: 0.0104 }, machines[1]!], 1, cachedTokens(100))).toBe(
      '1@warm',
    )
    expect(walked([{ ...machines[0]!, tokenS: 0.02 }, machines[1]!], 1, cachedTokens(100))).toBe(
      '1@quick',
    )
  })

  it('pays the price of a rule in seconds', () => {
    const priceS = (endpoint: EndpointView) => (endpoint.name === 'fast' ? 5 : 0)
    expect(walked([fast, slow], 1, { priceS })).toBe('1@slow')
  })

  it('waits for a warm seat rather than load a second copy at the cost of another model', () => {
    const cold = { ...fast, name: 'cold', resident: false, evicts: true }
    expect(walked([fast, cold], 2)).toBe('1@fast 2…fast')
  })

  it('loads it when those who wait have waited as long as a load takes', () => {
    const cold = { ...fast, name: 'cold', resident: false, evicts: true }
    const scene = new Scene([{ ...snail, seats: 1 }, cold])
    scene.come()
    scene.come()
    expect(scene.walk()).toBe('1@snail 2…snail')
    scene.nowMs += 6_000
    expect(scene.walk()).toBe('2@cold')
  })

  it('loads it at once for who would be late at every warm seat, unless it is late with a load as well', () => {
    const cold = { ...fast, name: 'cold', resident: false, evicts: true }
    const scene = new Scene([{ ...snail, seats: 1 }, cold])
    scene.come()
    scene.walk()
    scene.come({ deadlineMs: scene.nowMs + 100_000 })
    scene.come({ deadlineMs: scene.nowMs + 500 })
    expect(scene.walk()).not.toContain('@')
    scene.come({ deadlineMs: scene.nowMs + 10_000 })
    expect(scene.walk()).toContain('4@cold')
  })

  it('begins no load without the word of who looks after the memory', () => {
    const keeping: Keeping = {
      evictionPriceS: () => 0,
      evicts: () => false,
      mayLoad: (endpoint) => endpoint === 'b',
      isSwapping: () => false,
    }
    const cold = ['a', 'b'].map((name) => ({ name, tokenS: 0.01, resident: false }))
    expect(walked(cold, 1, { keeping })).toBe('1@b')
    expect(walked([cold[0]!], 1, { keeping })).toBe('')
  })

  it('lets the next ones wait for a load that goes on rather than begin a second one', () => {
    const cold = ['a', 'b'].map((name) => ({
      name,
      tokenS: 0.01,
      seats: 4,
      resident: false,
      evicts: true,
    }))
    expect(walked(cold, 3)).toBe('1@a 2@a 3@a')
  })

  it('tries a seat beyond the known ones where waiting for them is worth it', () => {
    const scene = new Scene([{ ...fast, seatToTry: true }, snail])
    scene.come()
    expect(scene.walk()).toBe('1@fast')
    scene.come()
    expect(scene.walk()).toBe('2?fast')
  })

  it('steps round who came back a moment ago while another has a warm seat', () => {
    expect(walked([{ ...fast, heldBack: true }, snail], 1)).toBe('1@snail')
    expect(walked([{ ...fast, heldBack: true }], 1)).toBe('1@fast')
  })

  // Of a thousand in line each was looked at only to find that nothing was free for it: three in four of the
  // microseconds of a slow decision.
  it('looks at nobody whose model has no seat free, and at nobody more when the last seat is gone', () => {
    const full = endpointOf('a', { m: { seatFree: false, seatsUsed: 1 } })
    const free = endpointOf('a').model('m:latest')!
    const views = [
      { ...full, model: (name: string) => (name === 'n:latest' ? free : full.model(name)) },
    ]
    const dispatcher = new Dispatcher({ endpoints: () => views }, routingOf('expected-completion'))
    const line = new Line<Guest>(false)
    const looked: string[] = []
    const come = (name: string, model: string, more: Partial<Need> = {}) => {
      const need = needOf({ model, ...more })
      line.join({
        ...{ name, tenant: 't', model, key: needKey(need), need, priority: 'normal', sinceMs: 0 },
        work: dispatcher.workOf({ ...size, model }),
        ...{ deadlineMs: undefined, promised: undefined },
      })
    }
    for (let each = 0; each < 20; each++) come(`m${each}`, 'm:latest')
    come('nobody', 'm:latest', { labels: ['none'] })
    for (let each = 0; each < 3; each++)
      come(`n${each}`, 'n:latest', { promptTokens: 2_000 * each })
    const inOrder = line.inOrder.bind(line)
    line.inOrder = function* (...given) {
      for (const waiting of inOrder(...given)) {
        looked.push(waiting.name)
        yield waiting
      }
    }
    const actions = dispatcher.decide(line, 0)
    expect(actions.map(({ kind, waiting }) => `${kind} ${waiting.name}`)).toEqual([
      'nobody nobody',
      'start n0',
    ])
    expect(looked).toEqual(['nobody', 'n0'])
  })

  it('tells what it was made of', () => {
    const scene = new Scene([fast, slow])
    const guest = scene.come()
    const [action] = scene.dispatcher.decide(scene.line, scene.nowMs)
    if (action?.kind !== 'start') throw new Error('nothing was begun')
    const decision = { id: 'x', waitedMs: 0, atWallMs: 0 }
    scene.dispatcher.noted(action, decision)
    const [told] = scene.dispatcher.decisions.of('x')
    expect(guest.name).toBe('1')
    expect(told?.backend).toBe('fast')
    expect(told?.candidates.map(({ backend }) => backend)).toEqual(['fast', 'slow'])
    for (const { cost_s, terms_s } of told!.candidates) {
      const sum = Object.values(terms_s).reduce((all, each) => all + each, 0)
      expect(sum).toBeCloseTo(cost_s!, 2)
    }
  })
})
