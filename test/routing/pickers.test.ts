import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EndpointView } from '../../src/core/endpoint-view.ts'
import type { PickerName, RoutingSettings } from '../../src/core/settings.ts'
import { pick, Turns } from '../../src/routing/pickers.ts'
import { endpointOf, type FakeEndpoint, needOf, routingOf } from './help.ts'

const candidatesOf = (endpoints: readonly EndpointView[]) =>
  endpoints.map((endpoint) => ({ endpoint, model: endpoint.model('m:latest') }))

/** The names that are picked, one letter each. */
function picksOf(
  count: number,
  endpoints: readonly EndpointView[],
  settings: RoutingSettings,
  turns = new Turns(),
  work = 'chat',
): string {
  let picks = ''
  for (let each = 0; each < count; each++)
    picks += pick(candidatesOf(endpoints), needOf({ work }), turns, settings)?.endpoint.name
  return picks
}

const among = (fleet: Readonly<Record<string, FakeEndpoint>>) =>
  Object.entries(fleet).map(([name, more]) => endpointOf(name, more))

const countOf = (picks: string, name: string) => picks.split(name).length - 1

describe('the least-busy picker', () => {
  const notLoaded = { m: { resident: false } }
  it.each<[string, Readonly<Record<string, FakeEndpoint>>, string]>([
    ['prefers where the model is loaded', { a: notLoaded, b: {} }, 'b'],
    ['prefers loaded and busier to idle and not loaded', { a: notLoaded, b: { inFlight: 3 } }, 'b'],
    ['prefers the least in flight', { a: { inFlight: 2 }, b: { inFlight: 1 } }, 'b'],
    [
      'measures what is in flight by weight',
      { a: { inFlight: 2 }, b: { inFlight: 3, weight: 2 } },
      'b',
    ],
    [
      'prefers the model with fewer seats taken among equals',
      { a: { inFlight: 2, m: { seatsUsed: 2 } }, b: { inFlight: 2, m: { seatsUsed: 1 } } },
      'b',
    ],
    [
      'takes the least busy where none has it loaded',
      { a: { ...notLoaded, inFlight: 1 }, b: notLoaded },
      'b',
    ],
  ])('%s', (_, fleet, first) => {
    expect(picksOf(1, among(fleet), routingOf('least-busy'))).toBe(first)
  })

  it('lets ties go round', () => {
    expect(picksOf(7, among({ a: {}, b: {}, c: {} }), routingOf('least-busy'))).toBe('abcabca')
  })

  it('lets ties go round by weight', () => {
    const picks = picksOf(8, among({ a: { weight: 3 }, b: {} }), routingOf('least-busy'))
    expect([countOf(picks, 'a'), countOf(picks, 'b')]).toEqual([6, 2])
  })
})

describe('the round-robin picker', () => {
  it('goes round, whatever is loaded, busy or heavy', () => {
    const fleet = among({ a: { inFlight: 5 }, b: { weight: 9 }, c: { m: { resident: false } } })
    expect(picksOf(7, fleet, routingOf('round-robin'))).toBe('abcabca')
  })
})

describe('the weighted picker', () => {
  it('gives 75 and 25 of a hundred to weights of 3 and 1, and 3 and 1 of every four', () => {
    const picks = picksOf(100, among({ a: { weight: 3 }, b: {} }), routingOf('weighted'))
    expect([countOf(picks, 'a'), countOf(picks, 'b')]).toEqual([75, 25])
    for (let at = 0; at < 100; at += 4) expect(countOf(picks.slice(at, at + 4), 'b')).toBe(1)
  })

  it('is never more than one pick from the exact share', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (weights) => {
          const names = [...'abcde'].slice(0, weights.length)
          const fleet = names.map((name, index) => endpointOf(name, { weight: weights[index]! }))
          const sum = weights.reduce((one, other) => one + other)
          const picks = picksOf(sum * 4, fleet, routingOf('weighted'))
          names.forEach((name, index) => {
            // At the end of every whole cycle the shares are exact.
            for (let cycle = 1; cycle <= 4; cycle++)
              expect(
                Math.abs(countOf(picks.slice(0, sum * cycle), name) - weights[index]! * cycle),
              ).toBeLessThanOrEqual(1)
          })
        },
      ),
    )
  })
})

describe('who joins or returns', () => {
  const pickers: PickerName[] = ['least-busy', 'round-robin', 'weighted', 'capability']

  it.each(pickers)('is not flooded by %s after the others have served long', (picker) => {
    const [a, b, newcomer] = among({ a: {}, b: {}, c: {} })
    const turns = new Turns()
    picksOf(1_001, [a!, b!], routingOf(picker), turns)
    const picks = picksOf(9, [a!, b!, newcomer!], routingOf(picker), turns)
    expect([...'abc'].map((name) => countOf(picks, name))).toEqual([3, 3, 3])
  })

  it.each(pickers)('is not given by %s all that it missed while it was away', (picker) => {
    const [a, b] = among({ a: {}, b: {} })
    const turns = new Turns()
    picksOf(10, [a!, b!], routingOf(picker), turns)
    picksOf(1_000, [a!], routingOf(picker), turns)
    const picks = picksOf(10, [a!, b!], routingOf(picker), turns)
    expect([countOf(picks, 'a'), countOf(picks, 'b')]).toEqual([5, 5])
  })
})

describe('the capability picker', () => {
  const settings = routingOf('capability', { code: ['c', 'b'], vision: ['gone'] })
  const fleet = among({ a: {}, b: { inFlight: 9 }, c: { m: { resident: false } }, d: {} })

  it.each([
    ['follows the order for the kind of work', 'code', fleet, 'c'],
    [
      'takes the next in the order when the first has no seat',
      'code',
      fleet.filter(({ name }) => name !== 'c'),
      'b',
    ],
    [
      'goes by least-busy among those outside of the order',
      'code',
      fleet.filter(({ name }) => 'ad'.includes(name)),
      'a',
    ],
    ['goes by least-busy for work without an order', 'poetry', fleet, 'a'],
    ['goes by least-busy when nobody of the order is there', 'vision', fleet, 'a'],
  ])('%s', (_, work, candidates, first) => {
    expect(picksOf(1, candidates, settings, new Turns(), work)).toBe(first)
  })

  it('lets ties go round where it falls back', () => {
    expect(picksOf(4, among({ a: {}, b: {} }), settings, new Turns(), 'poetry')).toBe('abab')
  })
})
