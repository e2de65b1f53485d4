import { expect, it } from 'vitest'
import { seededDice } from '../../src/core/dice.ts'
import type { FailureCode } from '../../src/core/failure.ts'
import { type Errand, type ErrandTurn, PartRunner } from '../../src/split/part-runner.ts'
import { awayMsMax } from '../../src/split/retry-part.ts'
import { Speeds } from '../../src/split/speeds.ts'
import { FakeFleet, type Fate } from './fake-fleet.ts'

/** A runner over one backend of a memory, whose fates are ours to say. */
function runnerOver(fateOf: (prompt: string) => Fate) {
  const fleet = new FakeFleet([{ name: 'a', seats: 2, msPerToken: 1 }], (_backend, prompt) =>
    fateOf(prompt),
  )
  const turns: ErrandTurn[] = []
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
    { leftOut: new Set(), moreToCome: () => false },
  )
  return { fleet, runner, turns, [Symbol.dispose]: () => runner[Symbol.dispose]() }
}

const errand = (prompt: string, deadlineMs?: number): Errand => ({
  name: prompt,
  stage: 'map',
  model: { text: 'm', canonical: 'm:latest', cloud: false },
  tokens: prompt.length,
  call: {
    path: '/api/generate',
    body: Buffer.from(JSON.stringify({ prompt })),
    tenant: 't',
    priority: 'batch',
    labels: [],
    work: '',
    deadlineMs,
  },
})

it('what comes after the deadline is not asked of anybody, and said to have failed', async () => {
  using set = runnerOver(() => ({ kind: 'answers' }))
  const { fleet, runner, turns } = set
  const inTime = await fleet.until(runner.run(errand('in time', fleet.clock.now() + 1_000)))
  expect(inTime.ok).toBe(true)
  const late = await fleet.until(runner.run(errand('late', fleet.clock.now())))
  expect(late).toMatchObject({ ok: false, answer: { code: 'total_timeout', status: 504 } })
  expect(fleet.calls).toHaveLength(1)
  expect(turns.map(({ state, errand: { name } }) => `${name} ${state}`)).toEqual([
    'in time answered',
    'late failed',
  ])
})

it.each<[FailureCode]>([['all_away'], ['model_away'], ['no_backend']])(
  'a fleet that was there and is away (%s) is waited for, but not for ever',
  async (code) => {
    using set = runnerOver((prompt) =>
      prompt === 'first' ? { kind: 'answers' } : { kind: 'fails', status: 503, code },
    )
    const { fleet, runner } = set
    await fleet.until(runner.run(errand('first')))
    const startMs = fleet.clock.now()
    const result = await fleet.until(runner.run(errand('second')))
    expect(result).toMatchObject({ ok: false, answer: { code } })
    const waitedMs = fleet.clock.now() - startMs
    expect(waitedMs).toBeGreaterThan(awayMsMax * 0.9)
    expect(waitedMs).toBeLessThan(awayMsMax * 1.1)
  },
)

it('disposing ends a part that waits for its next try, and what is asked later', async () => {
  using set = runnerOver(() => ({ kind: 'fails', status: 503, code: 'queue_full' }))
  const { fleet, runner } = set
  const running = runner.run(errand('waits'))
  while (fleet.calls.length === 0) {
    await new Promise(setImmediate)
    fleet.clock.pass(1)
  }
  runner[Symbol.dispose]()
  // No time passes any more: it is not the next try that ends it.
  expect(await running).toMatchObject({ ok: false })
  expect(await runner.run(errand('later'))).toMatchObject({ ok: false, answer: { status: 499 } })
  expect([fleet.calls.length, fleet.seatsUsed, fleet.waiting]).toEqual([1, 0, 0])
  // Not asked and cancelled: not asked at all.
  expect(fleet.cancelled).toBe(0)
})
