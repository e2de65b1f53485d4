import { describe, expect, it } from 'vitest'
import { scaledClock } from '../../src/core/clock.ts'
import type { Fleet } from '../help/fleet.ts'
import { openCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, untilIdle } from '../help/warm-fleet.ts'
import { kindsFleet, routes, tell } from './continuing-fleet.ts'

const model = 'm-continues'
const chat = routes['/api/chat']
/** Begun anew, which proves itself, and gone on with behind the text. */
const manners = [{ temperature: 0 }, {}]
const several = (count: number) =>
  kindsFleet({ simulators: Array.from({ length: count }, () => ({})) }, [model])

/** These break off behind so many lines; the last one is asked for the answer as it should be. */
async function breaking(fleet: Fleet, names: string, question: string, more: object) {
  const body = chat.body(model, question, { ...more })
  const whole = await tell(fleet.simulators.at(-1)!.url, chat, body)
  for (const simulator of fleet.simulators) simulator.clearTrace()
  for (const [index, { faults }] of fleet.simulators.entries())
    faults.replace(
      names.includes('abcde'.charAt(index))
        ? [{ kind: 'reset-after-chunks', chunks: 8, path: chat.path }]
        : [],
    )
  return { whole, body }
}

describe('an answer that breaks off more than once', () => {
  it.each(['/api/chat', '/api/generate', '/v1/chat/completions'] as const)(
    'is whole after two of %s',
    async (path) => {
      await using fleet = await several(3)
      const route = routes[path]
      for (const more of manners) {
        const body = route.body(model, 'tell me', more)
        const whole = await tell(fleet.simulators[2]!.url, route, body)
        fleet.simulators[0]!.faults.replace([{ kind: 'reset-after-chunks', chunks: 8, count: 1 }])
        // Begun anew, its first lines are those that the client has.
        const chunks = 'temperature' in more ? 16 : 8
        fleet.simulators[1]!.faults.replace([{ kind: 'reset-after-chunks', chunks, path }])
        if (path === '/api/generate' && !('temperature' in more))
          fleet.simulators[1]!.faults.replace([{ kind: 'reset-after-chunks', chunks }])
        const told = await tell(fleet.url, route, body)
        expect(told.text).toBe(whole.text)
        expect(told).toMatchObject({ ends: 1, errors: [] })
      }
      expect(fleet.ended.map(({ ending, attempts }) => [ending, attempts])).toEqual([
        ['ok', 3],
        ['ok', 3],
      ])
      expect(fleet.ended[1]!.trail.map((one) => one.slice(0, 12))).toEqual([
        'a: broke off',
        'b: broke off',
      ])
    },
  )

  it('is whole after three of four', async () => {
    await using fleet = await several(4)
    const { whole, body } = await breaking(fleet, 'abc', 'tell me', {})
    const told = await tell(fleet.url, chat, body)
    expect(told).toMatchObject({ text: whole.text, ends: 1, errors: [] })
    expect(fleet.ended[0]).toMatchObject({ ending: 'ok', attempts: 4, backend: 'd' })
  })

  it('ends honestly with the fourth', async () => {
    await using fleet = await several(5)
    const { whole, body } = await breaking(fleet, 'abcd', 'tell me', {})
    const told = await tell(fleet.url, chat, body)
    expect(told.ends).toBe(0)
    expect(told.errors).toEqual([
      'the backend ended in the middle of the answer, and it broke off 4 times',
    ])
    expect(whole.text.startsWith(told.text)).toBe(true)
    expect(told.text.length).toBeGreaterThan(100)
    expect(asked(fleet.simulators[4])).toBe(0)
    await untilIdle(fleet)
    expect(fleet.ended).toHaveLength(1)
    expect(fleet.ended[0]).toMatchObject({
      ending: 'stream_broken',
      code: 'answer_cut',
      attempts: 4,
    })
  })

  // Deaths of those that went on counted for nothing: one request could end three runners, and again at once.
  it('is refused from then on, for it may be what ends them', async () => {
    await using fleet = await several(5)
    const { body } = await breaking(fleet, 'abcd', 'tell me', {})
    await tell(fleet.url, chat, body)
    await untilIdle(fleet)
    await expect(tell(fleet.url, chat, body)).rejects.toThrow(/^500: .*two model runners died/)
    expect(fleet.ended.at(-1)).toMatchObject({ code: 'poison', attempts: 0, status: 500 })
    expect(asked(fleet.simulators[4])).toBe(0)
  })

  it('counts nobody who was not there', async () => {
    await using fleet = await several(5)
    const { whole, body } = await breaking(fleet, 'a', 'tell me', {})
    for (const simulator of fleet.simulators.slice(1, 4)) simulator.faults.add({ kind: 'refuse' })
    const told = await tell(fleet.url, chat, body)
    expect(told.errors).toEqual([])
    expect(told.text).toBe(whole.text)
    expect(fleet.ended[0]).toMatchObject({ ending: 'ok', attempts: 5, backend: 'e' })
  })
})

describe('the connection over which it goes on', () => {
  // Spare ones stood ready for the streams of a dying host, and nobody used them: whatever had broken off went over a
  // connection of its own, and opening those was most of what its clients waited for.
  it('stands already; that its server closes it in that moment is held against nobody', async () => {
    await using fleet = await several(2)
    const { whole, body } = await breaking(fleet, 'a', 'tell me', { temperature: 0 })
    fleet.simulators[1]!.faults.add({ kind: 'reset', count: 1 })
    const told = await tell(fleet.url, chat, body)
    expect(told).toMatchObject({ text: whole.text, ends: 1, errors: [] })
    expect(fleet.ended[0]).toMatchObject({ ending: 'ok', attempts: 3, backend: 'b' })
  })
})

describe('where nobody is free to go on', () => {
  it('the answer waits in the queue for a seat, and goes on', async () => {
    await using fleet = await kindsFleet(
      {
        simulators: [{}, { decodeTokensPerSecond: 100, slots: 1 }],
        backend: (backend) => ({ ...backend, slots: 1 }),
      },
      [model],
    )
    const { whole, body } = await breaking(fleet, 'a', 'tell me', {})
    // Both seats are taken at first; the one that breaks off comes behind the slow one.
    fleet.simulators[0]!.faults.replace([
      { kind: 'reset-after-chunks', chunks: 8, path: chat.path, count: 1 },
      { kind: 'trickle', ms: 5, count: 1 },
    ])
    const breaks = tell(fleet.url, chat, body)
    await until(() => asked(fleet.simulators[0]) === 1)
    const slow = openCall(fleet.url + chat.path, { body: chat.body(model, 'somebody else') })
    expect((await slow.head).headers['x-chasqui-backend']).toBe('b')
    const told = await breaks
    expect(told.text).toBe(whole.text)
    expect(told.errors).toEqual([])
    expect(await slow.ended).toBe('clean')
    const sentence = fleet.ended.find(({ attempts }) => attempts === 2)
    expect(sentence?.waitMs).toBeGreaterThan(50)
    expect(fleet.ended).toHaveLength(2)
  })

  it('one backend alone ends it honestly', async () => {
    await using fleet = await several(1)
    const { whole, body } = await breaking(fleet, 'a', 'tell me', {})
    fleet.simulators[0]!.faults.replace([
      { kind: 'reset-after-chunks', chunks: 8, path: chat.path },
    ])
    const told = await tell(fleet.url, chat, body)
    expect(whole).toBeDefined()
    expect(told).toMatchObject({
      ends: 0,
      errors: [
        'the backend ended in the middle of the answer, and no other backend can go on with it',
      ],
    })
    expect(told.answer.lines).toHaveLength(9)
    expect(asked(fleet.simulators[0])).toBe(1)
  })
})

describe('other weights under the same name', () => {
  const weights = (digest: string) => ({ models: [{ name: model, digest: digest.repeat(64) }] })

  it('do not go on with it', async () => {
    await using fleet = await kindsFleet(
      { simulators: [weights('1'), weights('1'), weights('2')] },
      [model],
    )
    fleet.simulators[0]!.faults.add({ kind: 'reset-after-chunks', chunks: 8 })
    fleet.simulators[1]!.faults.add({ kind: 'refuse' })
    const told = await tell(fleet.url, chat, chat.body(model, 'tell me'))
    expect(told).toMatchObject({ ends: 0, errors: [expect.stringContaining('no other backend')] })
    expect(asked(fleet.simulators[2])).toBe(0)
  })

  it('do not go on with it when they alone serve by then', async () => {
    await using fleet = await kindsFleet(
      { simulators: [weights('1'), weights('1'), weights('2')] },
      [model],
    )
    fleet.simulators[0]!.faults.add(
      { kind: 'trickle', ms: 10 },
      { kind: 'reset-after-chunks', chunks: 20 },
    )
    const answer = tell(fleet.url, chat, chat.body(model, 'tell me', { temperature: 0 }))
    await until(() => asked(fleet.simulators[0]) === 1)
    const { pool } = fleet.app
    for (const name of ['a', 'b']) pool.setEnabled(pool.endpoint(name)!, false)
    const told = await answer
    expect(told).toMatchObject({ ends: 0, errors: [expect.any(String)] })
    expect(asked(fleet.simulators[2])).toBe(0)
  })
})

describe('the pause', () => {
  /** The second backend's one seat is taken, so whatever breaks off waits. */
  async function waiting(clockSpeed = 1) {
    const fleet = await kindsFleet(
      {
        simulators: [{}, { slots: 1 }],
        backend: (backend, index) => ({ ...backend, slots: index === 0 ? 4 : 1 }),
        doors: { clock: scaledClock(clockSpeed) },
      },
      [model],
    )
    const [a, b] = fleet.simulators
    b!.faults.add({ kind: 'stall-after-chunks', chunks: 2, count: 1 })
    const { pool } = fleet.app
    pool.setEnabled(pool.endpoint('a')!, false)
    const holder = openCall(fleet.url + chat.path, { body: chat.body(model, 'somebody else') })
    await holder.head
    pool.setEnabled(pool.endpoint('a')!, true)
    a!.faults.add({ kind: 'reset-after-chunks', chunks: 8, count: 1 })
    return { fleet, holder, a, b }
  }

  it('is over when the client leaves, and nothing runs on', async () => {
    const { fleet, holder, b } = await waiting()
    await using _ = fleet
    const call = openCall(fleet.url + chat.path, { body: chat.body(model, 'tell me') })
    await until(() => fleet.app.queue.size === 1)
    call.leave()
    await until(() => fleet.app.queue.size === 0 && fleet.ended.length === 1)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed', attempts: 1 })
    holder.leave()
    await untilIdle(fleet)
    expect(asked(b)).toBe(1)
  })

  it('is over at the deadline, with one line that says so', async () => {
    const { fleet, holder, b } = await waiting()
    await using _ = fleet
    const told = await tell(fleet.url, chat, chat.body(model, 'tell me'), {
      'x-chasqui-deadline': '0.4s',
    })
    expect(told).toMatchObject({ ends: 0, errors: ['the answer was not complete in time'] })
    expect(told.answer.tookMs).toBeLessThan(1_500)
    expect(fleet.ended[0]).toMatchObject({ code: 'total_timeout' })
    holder.leave()
    await untilIdle(fleet)
    expect(asked(b)).toBe(1)
  })

  it('is over when the client leaves while the other backend is asked how it renders', async () => {
    await using fleet = await several(2)
    const [a, b] = fleet.simulators
    a!.faults.add({ kind: 'reset-after-chunks', chunks: 8 })
    b!.faults.add({ kind: 'hang' })
    const call = openCall(fleet.url + chat.path, { body: chat.body(model, 'tell me') })
    await until(() => asked(b) === 1)
    call.leave()
    await untilIdle(fleet)
    await until(() => fleet.ended.length === 1)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed', status: 499 })
    expect(asked(b)).toBe(1)
  })

  it('loads the model first where it is not in memory', async () => {
    await using fleet = await kindsFleet({ simulators: [{}, { loadMs: 200 }] }, [])
    const [a, b] = fleet.simulators
    const { whole, body } = await breaking(fleet, 'a', 'tell me', { temperature: 0 })
    await (
      await fetch(`${b!.url}/api/generate`, {
        method: 'POST',
        body: JSON.stringify({ model, keep_alive: 0 }),
      })
    ).text()
    b!.clearTrace()
    a!.faults.replace([{ kind: 'reset-after-chunks', chunks: 8, path: chat.path }])
    const told = await tell(fleet.url, chat, body)
    expect(told.text).toBe(whole.text)
    expect(told).toMatchObject({ ends: 1, errors: [] })
    // A load of our own comes first, so that no timer of the answer runs during it.
    const routesOfB = b!.trace().filter(({ method }) => method === 'POST')
    expect(routesOfB.map(({ route }) => route)).toEqual(['/api/generate', '/api/chat'])
  })

  it('leaves the queue when its client has left behind a load', async () => {
    await using fleet = await kindsFleet({ simulators: [{}, { loadMs: 400 }] }, [])
    const [a, b] = fleet.simulators
    a!.faults.replace([{ kind: 'reset-after-chunks', chunks: 8, path: chat.path }])
    const call = openCall(fleet.url + chat.path, { body: chat.body(model, 'tell me') })
    await until(() => asked(b, '/api/generate') === 1)
    call.leave()
    await until(() => fleet.ended.length === 1)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed' })
    await untilIdle(fleet)
    expect(asked(b)).toBe(0)
  })
})

describe('a backend that freezes in the middle', () => {
  it('is left for another once it was silent for long and its probes fail', async () => {
    // 30 seconds of silence are three quarters of one here.
    const clock = scaledClock(40)
    await using fleet = await kindsFleet(
      { config: 'probes: { interval: 5s, timeout: 4s }', doors: { clock } },
      [model],
    )
    const [a] = fleet.simulators
    const { whole, body } = await breaking(fleet, '', 'tell me', { temperature: 0 })
    a!.faults.replace([
      { kind: 'stall-after-chunks', chunks: 25, path: chat.path },
      { kind: 'hang', path: '/api/version' },
      { kind: 'hang', path: '/api/tags' },
      { kind: 'hang', path: '/api/ps' },
    ])
    const told = await tell(fleet.url, chat, body)
    expect(told.text).toBe(whole.text)
    expect(told).toMatchObject({ ends: 1, errors: [] })
    expect(told.answer.tookMs).toBeGreaterThan(700)
    expect(fleet.ended[0]).toMatchObject({ ending: 'ok', attempts: 2 })
  })

  it('is waited for while its probes answer', async () => {
    const clock = scaledClock(40)
    await using fleet = await kindsFleet({ doors: { clock } }, [model])
    const [a, b] = fleet.simulators
    a!.faults.replace([{ kind: 'stall-after-chunks', chunks: 25, path: chat.path, ms: 1_500 }])
    const told = await tell(fleet.url, chat, chat.body(model, 'tell me'))
    expect(told).toMatchObject({ ends: 1, errors: [] })
    expect(asked(b)).toBe(0)
  })
})
