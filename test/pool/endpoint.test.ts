import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/core/outcome.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, figuresOf, poolOf, ps, tags } from './help.ts'

const seat = { seat: true, asTry: false }
const noSeat = { seat: false, asTry: false }
const answered: Outcome = { kind: 'answered', status: 200 }
const unreachable: Outcome = { kind: 'unreachable', text: 'connection refused' }
const crashed: Outcome = { kind: 'refused', status: 500, why: 'crashed', text: '' }
const busy: Outcome = { kind: 'refused', status: 503, why: 'busy', text: '' }
const noModel: Outcome = { kind: 'refused', status: 404, why: 'noModel', text: '' }

function one(more = {}, models: Parameters<typeof poolOf>[1] = {}) {
  const clock = handClock()
  const turned: string[] = []
  const pool = poolOf([backendOf('a', { slots: 8, ...more })], {
    clock,
    observer: { breakerTurned: (_, model, state) => void turned.push(`${model ?? '*'} ${state}`) },
    ...models,
  })
  const a = pool.endpoints[0]!
  const end = (outcome: Outcome, model = 'm:latest', want = seat) =>
    a.take(model, want)!.settle(outcome)
  return { clock, pool, a, end, turned }
}

describe('a seat', () => {
  it('is shared by all names of the same weights', () => {
    const { a } = one(
      { slots: 2 },
      { models: [{ name: 'm', digest: 'd' }, { name: 'alias', digest: 'd' }, 'other'] },
    )
    const leases = [a.take('m:latest', seat), a.take('alias:latest', seat)]
    expect(leases.every(Boolean)).toBe(true)
    expect(a.take('m:latest', seat)).toBeUndefined()
    expect(a.model('alias:latest')?.seatFree).toBe(false)
    expect(a.model('other:latest')?.seatFree).toBe(true)
    leases[0]?.settle(answered)
    expect(a.model('alias:latest')?.seatFree).toBe(true)
  })

  it('counts under slots_total over all models', () => {
    const { a } = one({ slots: 4, slotsTotal: 3 }, { models: ['m', 'n'] })
    a.take('m:latest', seat)
    a.take('m:latest', seat)
    a.take('n:latest', seat)
    expect(a.take('n:latest', seat)).toBeUndefined()
    expect(a.model('n:latest')?.seatFree).toBe(false)
    expect(a.inFlight).toBe(3)
  })

  it('is one for an embedding model, whatever is configured', () => {
    const { a } = one(
      { slots: 4 },
      { models: [{ name: 'e', capabilities: ['embedding'] }, { name: 'all-minilm' }] },
    )
    expect(a.take('e:latest', seat)).toBeDefined()
    expect(a.take('e:latest', seat)).toBeUndefined()
    expect(a.take('all-minilm:latest', seat)).toBeDefined()
    expect(a.take('all-minilm:latest', seat)).toBeUndefined()
  })

  it('goes by model where slots are a map, and is found out for the others', () => {
    const { a } = one({ slots: new Map([['m:latest', 3]]) }, { models: ['m', 'n'] })
    a.take('m:latest', seat)
    a.take('n:latest', seat)
    expect([...a.seatRows()]).toEqual([
      { model: 'm:latest', used: 1, limit: 3, learned: false },
      { model: 'n:latest', used: 1, limit: 1, learned: true },
    ])
  })

  it('is not taken by what needs none, nor by a cloud model under a name of its own', () => {
    const { a } = one(
      { slots: 1, slotsTotal: 1 },
      { models: ['m', { name: 'far', remote_host: 'https://ollama.com' }] },
    )
    a.take('m:latest', seat)
    const leases = [
      a.take('m:latest', noSeat),
      a.take('unlisted:cloud', noSeat),
      a.take('far:latest', seat),
    ]
    expect(leases.map((lease) => lease?.seat)).toEqual([undefined, undefined, undefined])
    expect(leases.every(Boolean)).toBe(true)
    expect(a.model('far:latest')).toMatchObject({ seatFree: true, resident: true })
    expect(a.inFlight).toBe(1)
    for (const lease of [...a.leases]) lease[Symbol.dispose]()
    expect([a.inFlight, a.leases.size]).toEqual([0, 0])
  })

  it('is not taken for a model that is not there', () => {
    const { a } = one()
    expect(a.take('gone:latest', seat)).toBeUndefined()
    expect(a.leases.size).toBe(0)
  })

  it('is given back once, however often the lease is settled', () => {
    const { a } = one()
    const lease = a.take('m:latest', seat)!
    lease.settle(answered)
    lease.settle(unreachable)
    lease[Symbol.dispose]()
    expect([a.inFlight, a.leases.size, a.lastError]).toEqual([0, 0, undefined])
  })

  it('follows a new number at once, also while it is held', () => {
    const { a, pool } = one({ slots: 4 })
    const held = [1, 2, 3].map(() => a.take('m:latest', seat)!)
    pool.reconcile([backendOf('a', { slots: 2 })])
    expect(pool.endpoints[0]).toBe(a)
    held[0]?.settle(answered)
    expect(a.take('m:latest', seat)).toBeUndefined()
    held[1]?.settle(answered)
    expect(a.take('m:latest', seat)).toBeDefined()
    pool.reconcile([backendOf('a', { slots: 5 })])
    expect(a.take('m:latest', seat)).toBeDefined()
  })

  it('of a model turns out to be the only one when the details come late', () => {
    const { a } = one({ slots: 4 }, { models: [{ name: 'x' }] })
    a.take('x:latest', seat)
    a.learnDetails('digest of x', { capabilities: new Set(['embedding']), contextTrained: 512 })
    expect(a.take('x:latest', seat)).toBeUndefined()
    expect(a.onDisk.get('x:latest')).toMatchObject({ contextTrained: 512 })
  })
})

describe('what outcomes say', () => {
  it('lets the backend rest for lost connections, and only the model for crashes', () => {
    const { a, end } = one({}, { models: ['m', 'n'] })
    for (let each = 0; each < 3; each++) end(crashed)
    expect([a.admitting, a.model('m:latest')?.admitting, a.model('n:latest')?.admitting]).toEqual([
      true,
      false,
      true,
    ])
    for (let each = 0; each < 3; each++) end(unreachable, 'n:latest')
    expect(a.admitting).toBe(false)
    expect(a.model('n:latest')?.admitting).toBe(false)
  })

  it('counts a fast 503 against the model, and a missing model against nobody', () => {
    const { a, end } = one({}, { models: ['m', 'n'] })
    for (let each = 0; each < 3; each++) end(busy)
    for (let each = 0; each < 9; each++) end(noModel, 'n:latest')
    expect(a.model('m:latest')?.admitting).toBe(false)
    expect(a.model('n:latest')?.admitting).toBe(true)
  })

  it('is not softened by requests that ask only for a description', () => {
    const { a, end } = one()
    for (let each = 0; each < 3; each++) {
      end(crashed)
      end(answered, 'm:latest', noSeat)
    }
    expect(a.model('m:latest')?.admitting).toBe(false)
  })

  it('tells every turn of a breaker', () => {
    const { clock, end, turned } = one()
    for (let each = 0; each < 3; each++) end(crashed)
    clock.pass(1_001)
    end(answered)
    expect(turned).toEqual(['m:latest resting', 'm:latest probation', 'm:latest admitting'])
  })

  it('lets one in after a rest, and hears no straggler until that one has ended', () => {
    const { a, clock, end } = one()
    const straggler = a.take('m:latest', seat)!
    const leaver = a.take('m:latest', seat)!
    for (let each = 0; each < 3; each++) end(unreachable)
    expect(a.admitting).toBe(false)
    clock.pass(1_001)
    expect(a.admitting).toBe(true)
    const probe = a.take('m:latest', seat)!
    straggler.settle(answered)
    leaver.settle({ kind: 'clientLeft' })
    expect([a.breakerState, a.admitting]).toEqual(['probation', false])
    probe.settle(answered)
    expect([a.breakerState, a.admitting]).toEqual(['admitting', true])
  })

  it('is heard by whoever waits for the end of a rest', () => {
    const { clock, pool, end } = one()
    for (let each = 0; each < 3; each++) end(unreachable)
    let told = 0
    pool.onChange(() => told++)
    clock.pass(999)
    expect(told).toBe(0)
    clock.pass(2)
    expect(told).toBeGreaterThan(0)
  })

  it('keeps no breaker for a model that was never listed', () => {
    const { a, end, turned } = one()
    for (let each = 0; each < 20; each++) end(busy, `made-up-${each}:cloud`, noSeat)
    for (let each = 0; each < 20; each++) end(busy, 'same:cloud', noSeat)
    expect(turned).toEqual([])
    expect(a.restUntilMs('same:cloud')).toBeUndefined()
  })

  it('forgives a death when the request turns out to be the killer', () => {
    const { a } = one()
    for (let each = 0; each < 9; each++)
      a.take('m:latest', seat)!.settle(crashed, { forgiven: true })
    expect(a.model('m:latest')?.admitting).toBe(true)
  })

  it('keeps nonsense out of the averages', () => {
    const { a } = one()
    const settle = (outcome: Outcome, totalMs: number, firstByteMs: number) =>
      a.take('m:latest', seat)!.settle(outcome, { figures: figuresOf(totalMs, 0), firstByteMs })
    settle(answered, 1_001, 50)
    settle(answered, Number.NaN, Number.NaN)
    settle(busy, 5, 1)
    expect(a.tokensPerSecond.value).toBeCloseTo(10)
    expect(a.firstByteMs.value).toBe(50)
  })
})

describe('models in memory', () => {
  it('stay known when an answer from before their load arrives after it', () => {
    const { a, clock } = one()
    const askedMs = clock.now()
    clock.pass(10)
    a.learnLoaded('m:latest')
    a.learnInMemory(ps([]), askedMs)
    expect(a.model('m:latest')?.resident).toBe(true)
    clock.pass(10)
    a.learnInMemory(ps([]), clock.now())
    expect(a.model('m:latest')?.resident).toBe(false)
  })

  it('serve every name of the same weights, with the context that was loaded', () => {
    const { a } = one(
      {},
      { models: [{ name: 'm' }, { name: 'alias', digest: 'digest of m' }, 'other'] },
    )
    a.learnInMemory(ps([{ model: 'm', context_length: 8_192 }]))
    expect(a.model('alias:latest')).toMatchObject({ resident: true, contextLoaded: 8_192 })
    expect(a.model('other:latest')).toMatchObject({ resident: false, contextLoaded: undefined })
  })

  it('make the capacity, each set of weights once, at least one', () => {
    const { a } = one(
      { slots: 4 },
      { models: [{ name: 'm' }, { name: 'alias', digest: 'digest of m' }, 'other'] },
    )
    expect(a.capacity).toBe(1)
    a.learnInMemory(ps(['m', { model: 'alias' }]))
    expect(a.capacity).toBe(4)
    a.learnInMemory(ps(['m', 'other']))
    expect(a.capacity).toBe(8)
  })

  it('keep no rows and no breakers of models that are gone from the disk', () => {
    const { a, end } = one({}, { models: ['m', 'n'] })
    const held = a.take('m:latest', seat)!
    end(crashed, 'n:latest')
    a.learnOnDisk(tags([]))
    held.settle(answered)
    a.learnOnDisk(tags([]))
    a.learnOnDisk(tags(['m', 'n']))
    expect([...a.seatRows()]).toEqual([])
    expect(a.inFlight).toBe(0)
  })
})
