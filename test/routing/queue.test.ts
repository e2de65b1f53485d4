import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import type { Outcome } from '../../src/core/outcome.ts'
import type { QueueSettings } from '../../src/core/settings.ts'
import type { Lease } from '../../src/pool/lease.ts'
import type { Pool } from '../../src/pool/pool.ts'
import { NobodyCan, NotWanted, Queue } from '../../src/proxy/queue.ts'
import { type Priority, priorities } from '../../src/routing/line.ts'
import { type Need, needKey } from '../../src/routing/need.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, figuresOf, makeReady, poolOf, ps } from '../pool/help.ts'
import { choose, routingOf } from './help.ts'
import { exchangeOf, settled } from './waiting.ts'

const queueSettings: QueueSettings = {
  waitingMax: 1_000,
  waitingPerTenantMax: 0,
  waitMsMax: 600_000,
  priorityAcrossTenants: false,
  givesWay: true,
}
const routing = routingOf('least-busy')
const answered: Outcome = { kind: 'answered', status: 200 }

function queueOf(
  pool: Pool,
  clock: ReturnType<typeof handClock>,
  more: Partial<QueueSettings> = {},
) {
  const queue = new Queue(pool, { queue: { ...queueSettings, ...more }, routing }, clock)
  const story: string[] = []
  return {
    queue,
    /** What was served or refused so far, in order. */
    story,
    ask(name: string, model: string, rest: Parameters<typeof exchangeOf>[1] = {}) {
      const { exchange, leave } = exchangeOf(model, rest)
      const lease = queue.lease(exchange)
      lease.then(
        (got) => story.push(`${name}@${got.endpoint.name}`),
        (error: Error) =>
          story.push(`${name}: ${error instanceof Failure ? error.code : error.constructor.name}`),
      )
      return { lease, leave, exchange }
    },
  }
}

/** A queue before one seat, whose speeds five answers of `answerMs` have taught. */
async function taughtQueue(answerMs: number) {
  const clock = handClock()
  const pool = poolOf([backendOf('a', { slots: 1 })], { clock })
  pool.endpoints[0]!.learnInMemory(ps(['m']))
  const { ask, story } = queueOf(pool, clock)
  for (let each = 0; each < 5; each++) {
    const lease = await ask('teacher', 'm').lease
    clock.pass(answerMs)
    const [totalNs, promptNs] = [answerMs * 1e6, 1e8]
    const outputNs = totalNs - promptNs
    const counts = { promptTokens: 100, outputTokens: 200, loadNs: 0 }
    lease.settle(answered, { figures: { ...counts, totalNs, promptNs, outputNs } })
  }
  story.length = 0
  return { clock, ask, story }
}

const twoModels = { models: ['m', 'n'] }

describe('the queue', () => {
  it('lets no waiter for one model hold up another', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 })], { clock, ...twoModels })
    const { ask, story } = queueOf(pool, clock)
    const first = ask('m1', 'm')
    for (let each = 2; each < 6; each++) ask(`m${each}`, 'm')
    const other = ask('n1', 'n')
    ask('n2', 'n')
    await settled()
    expect(story).toEqual(['m1@a', 'n1@a'])
    ;(await other.lease).settle(answered)
    await settled()
    expect(story).toEqual(['m1@a', 'n1@a', 'n2@a'])
    ;(await first.lease).settle(answered)
    await settled()
    expect(story.at(-1)).toBe('m2@a')
  })

  it('gives a waiter the first seat that it can use', async () => {
    const clock = handClock()
    const pool = poolOf(
      [backendOf('a', { slots: 1 }), backendOf('b', { slots: 1, labels: ['eu'] })],
      { clock },
    )
    const { ask, story } = queueOf(pool, clock)
    const atA = ask('x1', 'm')
    const atB = ask('x2', 'm')
    ask('eu', 'm', { labels: ['eu'] })
    ask('any', 'm')
    await settled()
    ;(await atA.lease).settle(answered)
    await settled()
    expect(story).toEqual(['x1@a', 'x2@b', 'any@a'])
    ;(await atB.lease).settle(answered)
    await settled()
    expect(story.at(-1)).toBe('eu@b')
  })

  it('does not let a waiter with a long prompt hold up one with a shorter', async () => {
    const clock = handClock()
    const pool = poolOf(
      [
        backendOf('a', { slots: 1, contextDefault: 40_960 }),
        backendOf('b', { slots: 1, contextDefault: 131_072 }),
      ],
      { clock },
    )
    const { ask, story } = queueOf(pool, clock)
    const atA = ask('x1', 'm')
    ask('x2', 'm')
    ask('long', 'm', { textBytes: 50_000 * 4 })
    ask('shorter', 'm', { textBytes: 33_000 * 4 })
    await settled()
    ;(await atA.lease).settle(answered)
    await settled()
    expect(story).toEqual(['x1@a', 'x2@b', 'shorter@a'])
  })

  it.each([
    [0, 'all_busy'],
    [2, 'queue_full'],
  ])('that holds %i turns the next one away with %s', async (waitingMax, code) => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 })], { clock, ...twoModels })
    const { ask, story, queue } = queueOf(pool, clock, { waitingMax })
    ask('held', 'm')
    for (let each = 0; each < waitingMax; each++) ask('waits', 'm')
    const refused = ask('late', 'm')
    ask('other', 'n')
    await settled()
    expect(story).toEqual(expect.arrayContaining(['held@a', `late: ${code}`, 'other@a']))
    await expect(refused.lease).rejects.toMatchObject({
      status: 503,
      retryAfterS: expect.any(Number),
    })
    expect(queue.size).toBe(waitingMax)
  })

  it('that is full gives the place of the last batch request to who is no batch', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 })], { clock })
    const { ask, story, queue } = queueOf(pool, clock, { waitingMax: 3, waitingPerTenantMax: 3 })
    ask('held', 'm')
    ask('b1', 'm', { priority: 'batch', tenant: 'x' })
    ask('b2', 'm', { priority: 'batch', tenant: 'x' })
    ask('b3', 'm', { priority: 'batch', tenant: 'y' })
    ask('person', 'm', { tenant: 'z' })
    ask('b4', 'm', { priority: 'batch', tenant: 'z' })
    await settled()
    expect(story.toSorted()).toEqual(['b2: queue_full', 'b4: queue_full', 'held@a'])
    expect(queue.waiting(3).map(({ band }) => band)).toEqual(['normal', 'batch', 'batch'])
  })

  // Who waits wants another backend. A newcomer turned the last batch request away for its place in line, and then
  // stood there beside a seat that was free for it all the time.
  it('that is full turns nobody away while a seat is free for the newcomer', async () => {
    const clock = handClock()
    const eu = backendOf('c', { slots: 1, labels: ['eu'] })
    const pool = poolOf([backendOf('a', { slots: 1 }), eu], { clock })
    const { ask, story, queue } = queueOf(pool, clock, { waitingMax: 1 })
    const first = ask('x1', 'm')
    ask('x2', 'm')
    ask('eu', 'm', { priority: 'batch', labels: ['eu'] })
    await settled()
    ;(await first.lease).settle(answered)
    await settled()
    ask('person', 'm')
    await settled()
    expect(story).toEqual(['x1@a', 'x2@c', 'person@a'])
    expect(queue.size).toBe(1)
  })

  it('keeps room for others: one tenant may not fill it alone', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 })], { clock })
    const { ask, story, queue } = queueOf(pool, clock, { waitingMax: 10 })
    ask('held', 'm')
    for (let each = 0; each < 9; each++) ask('greedy', 'm', { tenant: 'x' })
    ask('other', 'm', { tenant: 'y' })
    await settled()
    expect(story).toEqual(['held@a', 'greedy: queue_share_full'])
    expect(queue.size).toBe(9)
  })

  it('refuses at once what can hardly be answered before its deadline, once speeds are known', async () => {
    const { clock, ask, story } = await taughtQueue(4_000)
    ask('held', 'm')
    ask('any time', 'm')
    ask('soon', 'm', { deadlineMs: clock.now() + 300 })
    ask('later', 'm', { deadlineMs: clock.now() + 60_000 })
    await settled()
    expect(story).toEqual(['held@a', 'soon: deadline_hopeless'])
  })

  // The whole line was taken to stand before it. A tenant that would have been served next was refused because of sixty
  // requests of somebody else, behind which the line would never have put it.
  it('counts only who would really go before it against a deadline', async () => {
    const { clock, ask, story } = await taughtQueue(1_000)
    ask('held', 'm', { tenant: 'greedy' })
    for (let each = 0; each < 60; each++) ask(`greedy ${each}`, 'm', { tenant: 'greedy' })
    ask('other', 'm', { tenant: 'other', deadlineMs: clock.now() + 5_000 })
    ask('one more', 'm', { tenant: 'greedy', deadlineMs: clock.now() + 5_000 })
    await settled()
    expect(story).toEqual(['held@a', 'one more: deadline_hopeless'])
  })

  // One place too few was counted: of one held and three before it, a fifth was let in that had three seconds and a half.
  it('counts its own place as well', async () => {
    const { clock, ask, story } = await taughtQueue(1_000)
    ask('held', 'm')
    for (let each = 0; each < 3; each++) ask('waiter', 'm')
    ask('too late', 'm', { deadlineMs: clock.now() + 3_500 })
    ask('in time', 'm', { deadlineMs: clock.now() + 6_000 })
    await settled()
    expect(story).toEqual(['held@a', 'too late: deadline_hopeless'])
  })

  it('shows who waits, in order and for how long', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 })], { clock })
    const { ask, queue } = queueOf(pool, clock)
    ask('held', 'm')
    ask('w1', 'm', { id: 'one', priority: 'batch' })
    ask('w2', 'm', { id: 'two' })
    await settled()
    clock.pass(500)
    const shown = { model: 'm:latest', waited_ms: 500, promised: null }
    expect(queue.waiting(5)).toEqual([
      { ...shown, id: 'two', band: 'normal', position: 1, expected_ms: 1_000 },
      { ...shown, id: 'one', band: 'batch', position: 2, expected_ms: 2_000 },
    ])
    expect(queue.waiting(1)).toHaveLength(1)
  })

  it('ends a wait that is too long, and one whose client left', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 })], { clock })
    const { ask, story, queue } = queueOf(pool, clock, { waitMsMax: 5_000 })
    ask('held', 'm')
    ask('patient', 'm')
    const hasty = ask('hasty', 'm')
    clock.pass(2_000)
    hasty.leave()
    await settled()
    expect([queue.size, queue.oldestWaitMs(), queue.byModel()]).toEqual([
      1,
      2_000,
      { 'm:latest': 1 },
    ])
    clock.pass(3_000)
    await settled()
    expect(story).toEqual(['held@a', 'hasty: NotWanted', 'patient: queue_timeout'])
    expect(queue.size).toBe(0)
  })

  it('goes on waiting for a backend that may return, and gives up when it is gone for good', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a', { slots: 1 }), backendOf('b')], { clock, models: [] })
    makeReady(pool.endpoints[0]!, ['m'])
    const { ask, story } = queueOf(pool, clock)
    const held = ask('held', 'm')
    ask('waits', 'm')
    await settled()
    pool.setEnabled(pool.endpoints[0]!, false)
    ;(await held.lease).settle(answered)
    await settled()
    expect(story).toEqual(['held@a'])
    pool.reconcile([backendOf('b')])
    await settled()
    expect(story.at(-1)).toBe('waits: NobodyCan')
  })

  it('follows the weights that serve while somebody waits', async () => {
    const clock = handClock()
    const pool = poolOf(
      ['a', 'b', 'c'].map((name) => backendOf(name, { slots: 1 })),
      { clock },
    )
    const [a, b, c] = pool.endpoints
    makeReady(a!, [{ name: 'm', digest: 'x' }])
    makeReady(b!, [{ name: 'm', digest: 'x' }])
    makeReady(c!, [{ name: 'm', digest: 'y' }])
    pool.learned()
    const { ask, story } = queueOf(pool, clock)
    ask('x1', 'm')
    ask('x2', 'm')
    for (let each = 0; each < 3; each++) ask(`w${each}`, 'm')
    await settled()
    expect(story).toHaveLength(2)
    b?.learnOnDisk([...c!.onDisk.values()])
    pool.learned()
    await settled()
    expect(story.slice(2)).toEqual(['w0@c', 'w1@b'])
  })

  it('makes a try for whoever waits longest, when time alone brings it', async () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a')], { clock })
    pool.endpoints[0]?.learnInMemory(ps(['m']))
    const { ask, story } = queueOf(pool, clock)
    ask('known', 'm')
    const tried = ask('try', 'm')
    ask('w1', 'm')
    await settled()
    expect(story).toEqual(['known@a', 'try@a'])
    const lease = await tried.lease
    clock.pass(400)
    lease.settle({ kind: 'clientLeft' })
    clock.pass(1_990)
    await settled()
    expect(story).toHaveLength(2)
    clock.pass(11)
    ask('newcomer', 'm')
    await settled()
    expect(story).toEqual(['known@a', 'try@a', 'w1@a'])
  })

  it('learns a backend of four slots while somebody waits, and one of one as one', async () => {
    for (const slots of [1, 4]) {
      const clock = handClock()
      const pool = poolOf([backendOf('a')], { clock })
      const [a] = pool.endpoints
      a?.learnInMemory(ps(['m']))
      const { ask } = queueOf(pool, clock)
      const running: { lease: Lease; left: number; hidden: number }[] = []
      for (let each = 0; each < 60; each++)
        void ask('w', 'm').lease.then((lease) => running.push({ lease, left: 1_000, hidden: 0 }))
      for (let ms = 0; ms < 25_000; ms += 50) {
        await settled()
        running.forEach((each, index) => {
          if (index < slots) each.left -= 50
          else each.hidden += 50
        })
        clock.pass(50)
        for (const done of running.filter(({ left }) => left <= 0)) {
          running.splice(running.indexOf(done), 1)
          done.lease.settle(answered, { figures: figuresOf(1_000 + done.hidden, done.hidden) })
        }
      }
      expect([...a!.seatRows()][0]?.limit).toBe(slots)
    }
  })
})

interface Ticket {
  readonly model: string
  readonly tenant: string
  readonly priority: Priority
  readonly at: number
  readonly need: () => Need
  readonly leave: () => void
  state: 'waiting' | 'held' | 'over'
  answers: number
  lease: Lease | undefined
  why: unknown
}

describe('pool and queue, whatever happens in whatever order', () => {
  const names = ['a', 'b', 'c'] as const
  const fleetAny = fc
    .tuple(
      ...names.map((name) =>
        fc.option(
          fc.record({
            name: fc.constant(name),
            slots: fc.integer({ min: 1, max: 2 }),
            slotsTotal: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
            labels: fc.subarray(['eu']),
          }),
          { freq: 6 },
        ),
      ),
    )
    .map((backends) => backends.flatMap((each) => (each ? [backendOf(each.name, each)] : [])))
  const stepAny = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        act: fc.constant('ask' as const),
        model: fc.constantFrom('m', 'm', 'm', 'm', 'n', 'alias', 'all-minilm'),
        tenant: fc.constantFrom('x', 'y'),
        priority: fc.constantFrom(...priorities),
        labels: fc.constantFrom<string[]>([], [], [], ['eu']),
        seat: fc.constantFrom(true, true, true, false),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        act: fc.constant('end' as const),
        which: fc.nat(50),
        how: fc.constantFrom<Outcome>(
          answered,
          answered,
          answered,
          { kind: 'unreachable', text: '' },
          { kind: 'refused', status: 500, why: 'crashed', text: '' },
        ),
      }),
    },
    { weight: 2, arbitrary: fc.record({ act: fc.constant('leave' as const), which: fc.nat(50) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('turn' as const), which: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('away' as const), which: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('reload' as const), fleet: fleetAny }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant('pass' as const), tens: fc.nat(200) }) },
  )

  // No rest ends on a multiple of ten milliseconds, when the steps happen.
  const breaker = {
    failuresInRow: 2,
    failureShare: 0.5,
    windowSize: 10,
    restMs: 1_003,
    restMsMax: 4_012,
    slowStartMs: 3_000,
  }
  const models = [
    { name: 'm', digest: 'd', capabilities: ['completion'] },
    { name: 'alias', digest: 'd', capabilities: ['completion'] },
    { name: 'n', digest: 'n', capabilities: ['completion'] },
    { name: 'all-minilm', digest: 'e' },
  ]

  // Where all rest they are asked all the same, and the last one that did not may begin its probation by being taken. Who
  // waited for its seat was not offered the others' then, for up to a second.
  const [one, eu] = [{ slots: 1 }, { slots: 1, labels: ['eu'] }]
  const asking = { act: 'ask', model: 'm', tenant: 'x', priority: 'interactive' } as const
  const failed: Outcome = { kind: 'unreachable', text: '' }
  const failing = { act: 'end', which: 0, how: failed } as const
  const onlyAtA = { ...asking, labels: ['eu'], seat: true }
  const anywhere = { ...asking, labels: [], seat: true }
  const onProbation = [
    // Twice at a, which rests; then somebody is let in there again, as the only one with that label.
    ...[onlyAtA, failing, onlyAtA, failing, onlyAtA],
    { act: 'pass', tens: 50 } as const,
    // Twice at b, which rests as well, while the rest of a comes to its end.
    ...[anywhere, { ...failing, which: 1 }, anywhere, { ...failing, which: 1 }],
    { act: 'pass', tens: 51 } as const,
    // One waits for the seat at a. One that takes no seat begins its probation.
    ...[anywhere, { ...asking, labels: ['eu'], seat: false }],
  ]

  it('serves everybody once, in order, and leaves no seat free that somebody waits for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fleetAny,
        fc.boolean(),
        fc.integer({ min: 0, max: 8 }),
        fc.array(stepAny, { maxLength: 60, size: 'max' }),
        async (fleet, priorityAcrossTenants, waitingMax, steps) => {
          const clock = handClock()
          const pool = poolOf(fleet, { clock, models, breaker })
          const settings = {
            waitingMax,
            waitingPerTenantMax: waitingMax,
            waitMsMax: 20_000,
            priorityAcrossTenants,
            givesWay: true,
          }
          const queue = new Queue(pool, { queue: settings, routing }, clock)
          const tickets: Ticket[] = []
          const of = (state: Ticket['state']) => tickets.filter((each) => each.state === state)
          const band = ({ priority }: Ticket) => priorities.indexOf(priority)
          const rank = ({ priority, at }: Ticket) => priorities.indexOf(priority) * 1e6 + at

          for (const step of steps) {
            const waitingBefore = of('waiting')
            const sizeBefore = queue.size
            switch (step.act) {
              case 'ask': {
                const { exchange, leave } = exchangeOf(step.model, {
                  tenant: step.tenant,
                  priority: step.priority,
                  labels: step.labels,
                  purpose: step.seat ? 'infer' : 'load',
                })
                const ticket: Ticket = {
                  ...step,
                  at: tickets.length,
                  need: () =>
                    exchange.need(pool.servingDigest(exchange.asked.ask.name.canonical), 4),
                  leave,
                  state: 'waiting',
                  answers: 0,
                  lease: undefined,
                  why: undefined,
                }
                tickets.push(ticket)
                queue.lease(exchange).then(
                  (lease) => {
                    Object.assign(ticket, { state: 'held', lease, answers: ticket.answers + 1 })
                  },
                  (why: unknown) => {
                    Object.assign(ticket, { state: 'over', why, answers: ticket.answers + 1 })
                  },
                )
                await settled()
                if (ticket.why instanceof Failure) {
                  expect(['queue_full', 'all_busy']).toContain(ticket.why.code)
                  expect(sizeBefore).toBe(waitingMax)
                }
                // Who comes first to the line does not see a newcomer with the same wish walk past.
                if (ticket.state === 'held')
                  for (const other of waitingBefore)
                    if (other.state === 'waiting')
                      expect(needKey(other.need())).not.toBe(needKey(ticket.need()))
                break
              }
              case 'end': {
                const held = of('held')
                const ticket = held[step.which % Math.max(1, held.length)]
                if (!ticket) break
                ticket.state = 'over'
                ticket.lease?.settle(step.how)
                break
              }
              case 'leave': {
                const ticket = waitingBefore[step.which % Math.max(1, waitingBefore.length)]
                ticket?.leave()
                await settled()
                if (ticket) expect(ticket.why).toBeInstanceOf(NotWanted)
                break
              }
              case 'turn': {
                const endpoint = pool.endpoints[step.which]
                if (endpoint) pool.setEnabled(endpoint, !endpoint.enabled)
                break
              }
              case 'away': {
                const endpoint = pool.endpoints[step.which]
                if (!endpoint) break
                const state = endpoint.ready ? 'away' : 'ready'
                endpoint.health = { ...endpoint.health, state }
                pool.learned()
                break
              }
              case 'reload':
                for (const endpoint of pool.reconcile(step.fleet).added) makeReady(endpoint, models)
                pool.learned()
                break
              case 'pass':
                clock.pass(step.tens * 10)
            }
            await settled()

            const waiting = of('waiting')
            expect(queue.size).toBe(waiting.length)
            expect(queue.size).toBeLessThanOrEqual(waitingMax)
            for (const ticket of tickets)
              expect(ticket.answers).toBe(ticket.state === 'waiting' ? 0 : 1)
            // Nobody waits who could be served, whoever else waits for whatever else.
            for (const ticket of waiting) {
              const choice = choose(pool.endpoints, ticket.need(), routing)
              expect(choice.kind).not.toBe('take')
            }
            // Who was served before another of its tenant with the same wish stood before it; others' turns are theirs.
            for (const served of waitingBefore.filter(({ state }) => state === 'held'))
              for (const left of waiting) {
                if (needKey(left.need()) !== needKey(served.need())) continue
                if (left.tenant === served.tenant) expect(rank(served)).toBeLessThan(rank(left))
                else if (priorityAcrossTenants) expect(band(served)).toBeLessThanOrEqual(band(left))
              }
            for (const endpoint of pool.endpoints) {
              const seats = of('held').filter(
                ({ lease }) => lease?.endpoint === endpoint && lease.seat,
              )
              expect(endpoint.inFlight).toBe(seats.length)
            }
            for (const { why } of tickets)
              if (why !== undefined && !(why instanceof Failure) && !(why instanceof NotWanted))
                expect(why).toBeInstanceOf(NobodyCan)
          }

          // With everybody well again and every seat given back in turn, all who wait are served.
          for (const endpoint of pool.endpoints) {
            endpoint.health = { ...endpoint.health, state: 'ready' }
            pool.setEnabled(endpoint, true)
          }
          for (let round = 0; round < 30 && of('waiting').length + of('held').length > 0; round++) {
            for (const ticket of of('held')) {
              ticket.state = 'over'
              ticket.lease?.settle(answered)
            }
            clock.pass(1_010)
            await settled()
          }
          expect([of('waiting'), of('held'), queue.size]).toEqual([[], [], 0])
          for (const endpoint of pool.endpoints)
            expect([endpoint.inFlight, endpoint.leases.size]).toEqual([0, 0])
        },
      ),
      {
        numRuns: 150,
        examples: [[[backendOf('a', eu), backendOf('b', one)], false, 1, onProbation]],
      },
    )
  })
})
