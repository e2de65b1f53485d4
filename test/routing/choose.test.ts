import { describe, expect, it } from 'vitest'
import { type Bar, barOf } from '../../src/routing/filters.ts'
import { type Need, needKey } from '../../src/routing/need.ts'
import { type Choice, choose, endpointOf, type FakeEndpoint, needOf, routingOf } from './help.ts'

const chosen = (fleet: Readonly<Record<string, FakeEndpoint>>, need: Partial<Need> = {}): Choice =>
  choose(
    Object.entries(fleet).map(([name, more]) => endpointOf(name, more)),
    needOf(need),
    routingOf('least-busy'),
  )

/** `a`: takes it there; `a?`: tries a seat beyond the known ones; else the kind. */
function sayChoice(choice: Choice): string {
  if (choice.kind !== 'take') return choice.kind
  return choice.endpoint + (choice.asTry ? '?' : '')
}

describe('the filters', () => {
  it.each<[Bar | undefined, FakeEndpoint, Partial<Need>]>([
    [undefined, {}, {}],
    ['noModel', { m: null }, {}],
    ['notPinned', {}, { pinned: 'b' }],
    [undefined, {}, { pinned: 'a' }],
    ['tried', {}, { not: new Set(['a']) }],
    ['draining', { enabled: false }, {}],
    ['away', { ready: false }, {}],
    ['noLabel', { labels: ['gpu'] }, { labels: ['gpu', 'eu'] }],
    [undefined, { labels: ['gpu', 'eu'] }, { labels: ['eu'] }],
    ['otherWeights', {}, { digest: 'x' }],
    [undefined, { m: { digest: undefined } }, { digest: 'x' }],
    ['resting', { m: { admitting: false } }, {}],
    ['noCapability', {}, { capabilities: ['completion', 'vision'] }],
    [undefined, { m: { capabilities: undefined } }, { capabilities: ['vision'] }],
    [undefined, { m: null }, { cloud: true }],
    ['away', { m: null, ready: false }, { cloud: true }],
    ['resting', { m: null, admitting: false }, { cloud: true }],
  ])('say %s', (bar, fake, need) => {
    const endpoint = endpointOf('a', fake)
    expect(barOf(endpoint, endpoint.model('m:latest'), needOf(need))).toBe(bar)
  })
})

describe('a choice', () => {
  const busy = { m: { seatFree: false, seatsUsed: 1 } }
  const toTry = { m: { seatFree: false, seatToTry: true } }
  const back = { m: { heldBack: true } }
  const sees = { m: { capabilities: new Set(['completion', 'vision']) } }

  it.each<[string, Readonly<Record<string, FakeEndpoint>>, Partial<Need>, string]>([
    ['takes a free seat', { a: busy, b: {} }, {}, 'b'],
    [
      'takes a free seat where the model must be loaded before it tries one',
      { a: toTry, b: { m: { resident: false } } },
      {},
      'b',
    ],
    ['steps round who came back and has enough for now', { a: back, b: { inFlight: 5 } }, {}, 'b'],
    ['goes to who came back where nobody else has a seat', { a: back, b: busy }, {}, 'a'],
    [
      'goes to who came back rather than try a seat that may not be',
      { a: back, b: toTry },
      {},
      'a',
    ],
    [
      'goes to who came back where nobody else is, though the model must be loaded',
      { a: { m: { ...back.m, resident: false } }, b: busy },
      {},
      'a',
    ],
    [
      'goes to who came back rather than load the model elsewhere',
      { a: back, b: { m: { resident: false } } },
      {},
      'a',
    ],
    [
      'loads elsewhere rather than at who came back with enough to do',
      { a: { m: { ...back.m, resident: false } }, b: { inFlight: 5, m: { resident: false } } },
      {},
      'b',
    ],
    [
      'asks who came back what needs no seat',
      { a: back, b: { inFlight: 5 } },
      { seat: false },
      'a',
    ],
    ['tries a seat where all known ones are taken', { a: busy, b: toTry }, {}, 'b?'],
    ['tries none beside a load', { a: { m: { ...toTry.m, resident: false } } }, {}, 'wait'],
    ['waits when all are busy', { a: busy, b: busy }, {}, 'wait'],
    ['waits for no seat where none is needed', { a: busy }, { seat: false }, 'a'],
    ['says that nobody can', { a: { m: null }, b: { ready: false } }, {}, 'nobody'],
    ['says that nobody can when there is nobody', {}, {}, 'nobody'],
    [
      'waits for the one that can rather than ask one that can not',
      { a: {}, b: { m: { ...sees.m, seatFree: false } } },
      { capabilities: ['vision'] },
      'wait',
    ],
    [
      'asks one that has the model when none of them can: it says so in its own words',
      { a: { m: null }, b: {} },
      { capabilities: ['vision'] },
      'b',
    ],
    [
      'asks for those words in a seat like any other',
      { a: busy },
      { capabilities: ['vision'] },
      'wait',
    ],
    [
      'asks for no such words while the one that can is away',
      { a: {}, b: { ...sees, ready: false } },
      { capabilities: ['vision'] },
      'nobody',
    ],
    [
      'asks for no such words when the one that can has failed',
      { a: {}, b: sees },
      { capabilities: ['vision'], not: new Set(['b']) },
      'nobody',
    ],
    [
      'asks the one that can, though it rests, and not the others for such words',
      { a: {}, b: { m: { ...sees.m, admitting: false } } },
      { capabilities: ['vision'] },
      'b',
    ],
    [
      'passes by one that rests while another one does not',
      { a: { m: { admitting: false } }, b: { inFlight: 5 } },
      {},
      'b',
    ],
    // Two servers that had failed for nine seconds were well again, and for six more every request heard 503: both rested.
    [
      'goes to one that rests where all do: nobody is protected by it',
      { a: { m: { admitting: false } }, b: { ready: false } },
      {},
      'a',
    ],
    [
      'but not with a second attempt: that one has seen such a failure',
      { a: { m: { admitting: false } }, b: {} },
      { not: new Set(['b']) },
      'nobody',
    ],
    [
      'asks for them when labels rule out the one that can',
      { a: { labels: ['eu'] }, b: sees },
      { capabilities: ['vision'], labels: ['eu'] },
      'a',
    ],
    [
      'goes where a cloud model is listed',
      { a: { m: null }, b: { inFlight: 5 } },
      { cloud: true, seat: false },
      'b',
    ],
    [
      'goes anywhere with a cloud model that nobody lists',
      { a: { m: null }, b: { m: null } },
      { cloud: true, seat: false },
      'a',
    ],
    [
      'does not measure a cloud model by the context of its backend',
      { a: { m: { contextLoaded: undefined } }, b: { contextDefault: 99_999, inFlight: 1 } },
      { cloud: true, seat: false, promptTokens: 5_000 },
      'a',
    ],
  ])('%s', (_, fleet, need, expected) => {
    expect(sayChoice(chosen(fleet, need))).toBe(expected)
  })

  it('names what bars each of them when nobody can', () => {
    expect(chosen({ a: { m: null }, b: { ready: false }, c: { enabled: false } })).toEqual({
      kind: 'nobody',
      bars: new Map([
        ['a', 'noModel'],
        ['b', 'away'],
        ['c', 'draining'],
      ]),
    })
  })

  it.each<[string, number, string]>([
    ['goes to any that holds it', 4_000, 'a'],
    ['goes where the loaded context holds it', 4_097, 'b'],
    ['goes where the default context holds it, though it must be loaded', 9_000, 'c'],
    ['goes to the largest when none holds it', 99_000, 'c'],
    ['is not measured when the request sets its own context', 0, 'a'],
  ])('with a prompt %s', (_, promptTokens, expected) => {
    const fleet = {
      a: {},
      b: { m: { contextLoaded: 8_192 }, inFlight: 1 },
      c: { contextDefault: 32_768, m: { resident: false } },
    }
    expect(sayChoice(chosen(fleet, { promptTokens }))).toBe(expected)
  })

  it('waits for the context that holds the prompt', () => {
    const fleet = { a: {}, b: { m: { contextLoaded: 8_192, seatFree: false } } }
    expect(sayChoice(chosen(fleet, { promptTokens: 5_000 }))).toBe('wait')
  })
})

describe('the key of a need', () => {
  it.each<[Partial<Need>]>([
    [{ model: 'n:latest' }],
    [{ capabilities: ['vision'] }],
    [{ labels: ['eu'] }],
    [{ promptTokens: 5_000 }],
    [{ digest: 'x' }],
    [{ seat: false }],
    [{ work: 'code' }],
    [{ pinned: 'a' }],
    [{ not: new Set(['a']) }],
  ])('differs by %o', (more) => {
    expect(needKey(needOf(more))).not.toBe(needKey(needOf()))
  })
})
