import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judgeTry, type Seat, Seats, type Served } from '../../src/pool/seats.ts'
import { figuresOf } from './help.ts'

const withFigures = (totalMs: number, hiddenMs: number): Served => ({
  figures: figuresOf(totalMs, hiddenMs),
  firstByteMs: undefined,
})
const withFirstByte = (firstByteMs: number | undefined): Served => ({
  figures: undefined,
  firstByteMs,
})

describe('a try of one seat more', () => {
  // The try lasts 1000 ms; `neighbour` is when the first of the others was done.
  it.each<[string, number | undefined, Served | undefined, string]>([
    ['shows a free seat when nothing was hidden', 500, withFigures(1_000, 0), 'free'],
    ['shows a free seat when little was hidden', 500, withFigures(1_000, 99), 'free'],
    ['shows none when more than a fifth was', 500, withFigures(1_000, 101), 'hidden'],
    ['shows none when it waited for the neighbour', 500, withFigures(1_000, 500), 'hidden'],
    [
      'measures against itself while the neighbours go on',
      undefined,
      withFigures(1_000, 150),
      'free',
    ],
    ['tells nothing when it was not served', 500, undefined, 'unclear'],
    ['tells nothing when the neighbour ended at once', 99, withFigures(1_000, 0), 'unclear'],
    ['forgives little overhead beside a short neighbour', 100, withFigures(1_000, 20), 'free'],
    ['goes by the first byte without figures', 500, withFirstByte(100), 'free'],
    ['takes a first byte after the neighbour for a wait', 500, withFirstByte(510), 'hidden'],
    ['tells nothing of a whole answer without figures', 500, withFirstByte(undefined), 'unclear'],
    [
      'shows a free seat when it was done before the others',
      undefined,
      withFirstByte(undefined),
      'free',
    ],
    [
      'does not read an embedding without its parts as waiting',
      500,
      { figures: { ...figuresOf(1_000, 0), promptNs: 0, outputNs: 0 }, firstByteMs: undefined },
      'unclear',
    ],
  ])('%s', (_, neighbourEndedMs, served, verdict) => {
    expect(judgeTry({ startedMs: 0, endedMs: 1_000, neighbourEndedMs }, served)).toBe(verdict)
  })
})

/** A server with so many slots, as its answers show it, under a load that never ends. */
function underLoad(slots: number, seats: Seats, forMs: number, fromMs = 0) {
  const serviceMs = 1_000
  const tries: number[] = []
  const running: { seat: Seat; endsAt: number; hiddenMs: number }[] = []
  let mostHidden = 0
  for (let now = fromMs; now < fromMs + forMs; now += 50) {
    for (const each of running.filter(({ endsAt }) => endsAt <= now)) {
      running.splice(running.indexOf(each), 1)
      each.seat.giveBack(now, withFigures(serviceMs + each.hiddenMs, each.hiddenMs))
    }
    for (;;) {
      const seat = seats.take(now, true)
      if (!seat) break
      if (seat.isTry) tries.push(now)
      const waitsFor = running.map(({ endsAt }) => endsAt).sort((a, b) => a - b)[
        running.length - slots
      ]
      const hiddenMs = Math.max(0, (waitsFor ?? now) - now)
      running.push({ seat, endsAt: now + hiddenMs + serviceMs, hiddenMs })
      mostHidden = Math.max(mostHidden, running.length - slots)
    }
  }
  for (const { seat } of running) seat.giveBack(fromMs + forMs)
  return { tries, mostHidden }
}

// Two requests leave in one moment, and the later one is read first: it was the try, looked free, and from then on people
// were sent to a seat that did not exist, and waited there unseen for ten seconds and more.
describe('a try that overtook a request that was sent just before it', () => {
  const sent = (hiddenMs: number, takenBeforeMs: number) => {
    const seats = new Seats(undefined)
    const first = seats.take(1_000 - takenBeforeMs, false)!
    const trial = seats.take(1_000, true)!
    expect(trial.isTry).toBe(true)
    return {
      seats,
      trial,
      earlierEnds: (nowMs: number) => {
        first.giveBack(nowMs, withFigures(nowMs - 1_000 + takenBeforeMs, hiddenMs))
      },
    }
  }

  it('shows no seat when that one ends before it', () => {
    const { seats, trial, earlierEnds } = sent(600, 3)
    earlierEnds(2_500)
    trial.giveBack(3_000, withFigures(2_000, 0))
    expect(seats.limit).toBe(1)
  })

  it('is not believed any longer when that one ends behind it', () => {
    const { seats, trial, earlierEnds } = sent(1_990, 3)
    trial.giveBack(3_000, withFigures(2_000, 0))
    expect(seats.limit).toBe(2)
    earlierEnds(5_000)
    expect(seats.limit).toBe(1)
    // The next one comes later.
    const again = seats.take(5_001, false)!
    expect(seats.take(6_000, true)).toBeUndefined()
    again.giveBack(6_000)
  })

  it('shows a seat where that one had been served, or was on its way through, when it began', () => {
    for (const [hiddenMs, takenBeforeMs] of [
      [600, 700],
      [40, 3],
      [0, 0],
    ] as const) {
      const { seats, trial, earlierEnds } = sent(hiddenMs, takenBeforeMs)
      earlierEnds(2_500)
      trial.giveBack(3_000, withFigures(2_000, 0))
      expect(seats.limit).toBe(2)
    }
  })
})

it('a try begins a little behind the request before it, once it is known how long seats are held', () => {
  const seats = new Seats(2)
  seats.fix(undefined)
  const first = seats.take(0, false)!
  // Nothing is known yet: a fresh start tries at once.
  expect(seats.mayTry(0)).toBe(true)
  first.giveBack(400, withFigures(400, 0))
  const second = seats.take(1_000, false)!
  expect([seats.mayTry(1_039), seats.mayTry(1_041)]).toEqual([false, true])
  second.giveBack(61_000, withFigures(60_000, 0))
  seats.take(70_000, false)
  expect([seats.mayTry(70_099), seats.mayTry(70_100)]).toEqual([false, true])
})

describe('seats that are found out', () => {
  it.each([1, 2, 4, 7])(
    'reach the number of a server with %i, and wait there one at a time',
    (slots) => {
      const seats = new Seats(undefined)
      const { mostHidden } = underLoad(slots, seats, 120_000)
      expect(seats.limit).toBe(slots)
      expect(mostHidden).toBe(1)
    },
  )

  it('stay at one with tries that grow rarer', () => {
    const { tries } = underLoad(1, new Seats(undefined), 3_600_000)
    const gaps = tries.slice(1).map((at, index) => Math.round((at - tries[index]!) / 10_000) * 10)
    expect(gaps.slice(0, 5)).toEqual([30, 60, 120, 240, 480])
    expect(Math.min(...gaps.slice(5))).toBeGreaterThanOrEqual(600)
  })

  it('are not given up for tries whose clients leave, but tried less often', () => {
    const seats = new Seats(undefined)
    const first = seats.take(0, true)!
    const at: number[] = []
    for (let now = 0; now < 100_000; now += 500) {
      const seat = seats.take(now, true)
      if (seat) at.push(now)
      seat?.giveBack(now + 100)
    }
    expect(at.slice(0, 5)).toEqual([0, 2_500, 7_000, 15_500, 32_000])
    first.giveBack(100_000)
    expect(seats.used).toBe(0)
  })

  it('are never tried where the operator said a number', () => {
    const seats = new Seats(2)
    seats.take(0, true)
    seats.take(0, true)
    expect(seats.mayTry(0)).toBe(false)
    expect(seats.take(0, true)).toBeUndefined()
  })

  it('are given up again when the server has fewer than it had', () => {
    const seats = new Seats(undefined)
    underLoad(6, seats, 60_000)
    expect(seats.limit).toBe(6)
    underLoad(3, seats, 60_000, 100_000)
    expect(seats.limit).toBe(3)
  })

  it('are learned again after the server came back', () => {
    const seats = new Seats(undefined)
    underLoad(4, seats, 60_000)
    seats.unlearn()
    expect(seats.limit).toBe(1)
    const fixed = new Seats(4)
    fixed.unlearn()
    expect(fixed.limit).toBe(4)
  })

  it('are never more than known and one, and all come back, whatever happens in whatever order', () => {
    const step = fc.oneof(
      fc.record({ act: fc.constant('take' as const), asTry: fc.boolean() }),
      fc.record({
        act: fc.constant('back' as const),
        which: fc.nat(9),
        hiddenMs: fc.option(fc.nat(900), { nil: undefined }),
      }),
      fc.record({ act: fc.constant('pass' as const), ms: fc.nat(40_000) }),
      fc.record({ act: fc.constant('twice' as const) }),
      fc.record({ act: fc.constant('unlearn' as const) }),
      fc.record({
        act: fc.constant('fix' as const),
        to: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      }),
    )
    fc.assert(
      fc.property(
        fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
        fc.array(step, { maxLength: 80, size: 'max' }),
        (fixed, steps) => {
          const seats = new Seats(fixed)
          const held: Seat[] = []
          let given: Seat | undefined
          let now = 0
          for (const each of steps) {
            switch (each.act) {
              case 'take': {
                const { used, limit, learned } = seats
                const seat = seats.take(now, each.asTry)
                if (!seat) break
                held.push(seat)
                if (used < limit) expect(seat.isTry).toBe(false)
                else expect([seat.isTry, learned, each.asTry]).toEqual([true, true, true])
                expect(used).toBeLessThanOrEqual(limit)
                break
              }
              case 'back': {
                const [seat] = held.splice(each.which % Math.max(1, held.length), 1)
                const { hiddenMs } = each
                seat?.giveBack(
                  now,
                  hiddenMs === undefined ? undefined : withFigures(1_000, hiddenMs),
                )
                given = seat ?? given
                break
              }
              case 'pass':
                now += each.ms
                break
              case 'twice':
                given?.giveBack(now)
                break
              case 'unlearn':
                seats.unlearn()
                break
              case 'fix':
                seats.fix(each.to)
            }
            expect(seats.used).toBe(held.length)
          }
          for (const seat of held) seat.giveBack(now)
          expect(seats.used).toBe(0)
          expect(seats.free).toBe(true)
        },
      ),
    )
  })
})
