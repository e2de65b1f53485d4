import { describe, expect, it } from 'vitest'
import { scaledClock } from '../../src/core/clock.ts'
import type { Fleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import { asked, untilIdle } from '../help/warm-fleet.ts'
import { kindsFleet, modelOf, routes, tell } from './continuing-fleet.ts'

const model = modelOf('continues')
const chat = routes['/api/chat']

/** Two backends from which an answer moves after a second. */
async function drainedFleet(names: readonly string[], slots = 4): Promise<Fleet> {
  const fleet = await kindsFleet(
    {
      config: 'timeouts: { drain: 1s }',
      simulators: [{ slots }, { slots }],
      backend: (backend) => ({ ...backend, slots }),
    },
    names,
  )
  return fleet
}

/** The first answer of a model shows how it goes on. */
async function measured(fleet: Fleet, name: string): Promise<void> {
  const body = chat.body(name, 'a first one', { options: { num_predict: 4, temperature: 0 } })
  await tell(fleet.url, chat, body)
  await until(() => fleet.app.conformance.rows.size > 0, 15_000)
  await untilIdle(fleet)
  for (const simulator of fleet.simulators) simulator.clearTrace()
}

/** From there on its answers take three seconds in the middle. */
const slow = (fleet: Fleet, ...indices: number[]) => {
  for (const index of indices)
    fleet.simulators[index]!.faults.replace([
      { kind: 'stall-after-chunks', chunks: 12, ms: 3_000, path: chat.path },
    ])
}

const drain = (fleet: Fleet, name: string) =>
  fleet.app.pool.setEnabled(fleet.app.pool.endpoint(name)!, false)

describe('a backend that is drained', () => {
  it('keeps its answers until the limit, and then another one goes on with them', async () => {
    await using fleet = await drainedFleet([model])
    await measured(fleet, model)
    const [a, b] = fleet.simulators
    const body = chat.body(model, 'tell me', { temperature: 0 })
    const whole = await tell(b!.url, chat, body)
    slow(fleet, 0)
    const running = tell(fleet.url, chat, body)
    await until(() => asked(a) === 1)
    drain(fleet, 'a')
    const told = await running
    expect(told.text).toBe(whole.text)
    expect(told).toMatchObject({ ends: 1, errors: [] })
    expect(fleet.ended.at(-1)).toMatchObject({
      ending: 'ok',
      attempts: 2,
      trail: ['a: moved elsewhere'],
    })
    expect(asked(b)).toBe(2)
    await untilIdle(fleet)
    // It was no fault of its own.
    expect(fleet.app.pool.endpoint('a')!.breakerState).toBe('admitting')
  })

  it('keeps an answer that nobody else could go on with', async () => {
    await using fleet = await drainedFleet([modelOf('begins-anew')])
    await measured(fleet, modelOf('begins-anew'))
    const [a, b] = fleet.simulators
    const body = chat.body(modelOf('begins-anew'), 'tell me')
    slow(fleet, 0)
    const running = tell(fleet.url, chat, body)
    await until(() => asked(a) === 1)
    drain(fleet, 'a')
    expect(await running).toMatchObject({ ends: 1, errors: [] })
    expect(asked(b)).toBe(0)
    expect(fleet.ended.at(-1)).toMatchObject({ ending: 'ok', attempts: 1 })
  })

  it('keeps an answer while no seat is free for it elsewhere', async () => {
    await using fleet = await drainedFleet([model], 1)
    await measured(fleet, model)
    const [a, b] = fleet.simulators
    const body = chat.body(model, 'tell me', { temperature: 0 })
    slow(fleet, 0, 1)
    const answers = [tell(fleet.url, chat, body), tell(fleet.url, chat, body)]
    await until(() => asked(a) === 1 && asked(b) === 1)
    drain(fleet, 'a')
    for (const told of await Promise.all(answers))
      expect(told).toMatchObject({ ends: 1, errors: [] })
    expect(fleet.ended.slice(-2).map(({ attempts }) => attempts)).toEqual([1, 1])
  })
})

describe('a backend whose runners hang', () => {
  // Its lists go on answering, so only its other streams can tell.
  it('is left by all of its answers when all of them are silent for long', async () => {
    const clock = scaledClock(40)
    await using fleet = await kindsFleet({ doors: { clock } }, [model])
    const [a, b] = fleet.simulators
    const body = chat.body(model, 'tell me', { temperature: 0 })
    const whole = await tell(b!.url, chat, body)
    a!.faults.replace([{ kind: 'stall-after-chunks', chunks: 25, path: chat.path }])
    const answers = await Promise.all([tell(fleet.url, chat, body), tell(fleet.url, chat, body)])
    for (const told of answers) {
      expect(told.text).toBe(whole.text)
      expect(told).toMatchObject({ ends: 1, errors: [] })
    }
    expect(fleet.ended.map(({ trail }) => trail)).toEqual([
      ['a: broke off in the middle of its answer'],
      ['a: broke off in the middle of its answer'],
    ])
  })
})
