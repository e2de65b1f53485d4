import { describe, expect, it } from 'vitest'
import type { Fleet } from '../help/fleet.ts'
import { asked, model as plainModel, untilIdle } from '../help/warm-fleet.ts'
import { kindsFleet, modelOf, type RoutePath, routes, tell } from './continuing-fleet.ts'

const model = modelOf('continues')
const chat = routes['/api/chat']
const repeating = modelOf('stops-without-done')

const simulators = [{}, {}, {}]
const three = (config = '', more: object = {}) =>
  kindsFleet({ simulators: simulators.map((each) => ({ ...each, ...more })), config }, [
    model,
    repeating,
  ])

/** What the client of a broken answer gets; the other backends are left in peace. */
async function broken(
  fleet: Fleet,
  body: object,
  { path = '/api/chat', chunks = 12, headers = {} }: Partial<Broken> = {},
): Promise<Awaited<ReturnType<typeof tell>>> {
  const [a] = fleet.simulators
  a!.faults.replace([{ kind: 'reset-after-chunks', chunks, path }])
  for (const simulator of fleet.simulators) simulator.clearTrace()
  const told = await tell(fleet.url, routes[path], body, headers)
  expect(
    a!
      .trace()
      .map(({ cancelReason = '' }) => cancelReason)
      .join(),
  ).toContain('fault')
  return told
}

interface Broken {
  readonly path: RoutePath
  readonly chunks: number
  readonly headers: Readonly<Record<string, string>>
}

const endsWith = (why: string) => ({
  ends: 0,
  errors: [`the backend ended in the middle of the answer${why}`],
})

describe('not gone on with, and one line says why:', () => {
  it.each([
    {
      what: 'a document with a schema',
      body: { format: 'json' },
      why: ', and it is a document with a format, and without temperature 0 or a seed it can not be asked again',
    },
    {
      what: 'a seed that must hold',
      body: { options: { seed: 4 } },
      why: ', and it has a seed, and the request does not say that it may go on',
    },
    {
      what: 'a context that is nearly full',
      body: { options: { num_ctx: 64 } },
      why: ', and the context is nearly full',
    },
  ])('$what', async ({ body, why }) => {
    await using fleet = await three()
    // Loaded again for the options, which is not the matter here.
    const told = await broken(fleet, chat.body(model, 'tell me', body), { chunks: 6 })
    expect(told).toMatchObject(endsWith(why))
    expect(asked(fleet.simulators[1])).toBe(0)
    await untilIdle(fleet)
    expect(fleet.ended).toHaveLength(1)
    expect(fleet.ended[0]).toMatchObject({ ending: 'stream_broken', code: 'answer_cut' })
  })

  it('a call of a tool that has begun', async () => {
    const capabilities = ['completion', 'tools']
    await using fleet = await kindsFleet(
      { simulators: simulators.map(() => ({ models: [{ name: plainModel, capabilities }] })) },
      [plainModel],
    )
    const tools = [{ type: 'function', function: { name: 'look', parameters: {} } }]
    const body = chat.body(plainModel, 'use the tool', { tools })
    // The call, and not the end behind it.
    const told = await broken(fleet, body, { chunks: 1 })
    expect(JSON.stringify(told.frames)).toContain('tool_calls')
    expect(told).toMatchObject(endsWith(', and a tool call had begun'))
    expect(asked(fleet.simulators[1])).toBe(0)
  })

  it('what the operator has switched off, unless the request asks for it', async () => {
    await using fleet = await three('continuation: false')
    const told = await broken(fleet, chat.body(model, 'tell me'))
    expect(told).toMatchObject({ ends: 0, errors: [expect.any(String)] })
    expect(asked(fleet.simulators[1])).toBe(0)
    const headers = { 'x-chasqui-continue': 'on' }
    const wanted = await broken(fleet, chat.body(model, 'tell me'), { headers })
    expect(wanted).toMatchObject({ ends: 1, errors: [] })
  })

  it('what the request has switched off', async () => {
    await using fleet = await three()
    const headers = { 'x-chasqui-continue': 'off' }
    for (const path of ['/api/chat', '/v1/chat/completions', '/v1/messages'] as const) {
      const body = routes[path].body(model, 'tell me')
      const told = await broken(fleet, body, { path, headers })
      expect(told).toMatchObject({ ends: 0, errors: [expect.any(String)] })
      expect(asked(fleet.simulators[1], path)).toBe(0)
    }
  })

  it('more than 1 MiB of an answer', async () => {
    await using fleet = await three('', { answerTokens: 6_000, decodeTokensPerSecond: 1e6 })
    const path = '/v1/chat/completions'
    const body = routes[path].body(model, 'tell me', { temperature: 0 })
    const told = await broken(fleet, body, { path, chunks: 5_500 })
    expect(told.answer.text.length).toBeGreaterThan(1_048_576)
    expect(told).toMatchObject({ ends: 0, errors: [expect.any(String)] })
    expect(asked(fleet.simulators[1], path)).toBe(0)
  })
})

describe('a backend that says less than the client has', () => {
  it('is no reason to say that nobody was asked', async () => {
    const kind = modelOf('ends-at-once')
    await using fleet = await kindsFleet({ simulators: [{}, { answerTokens: 5 }] }, [kind])
    const told = await broken(fleet, chat.body(kind, 'tell me', { temperature: 0 }))
    expect(told).toMatchObject(endsWith(', and the template of its model closes what was begun'))
    expect(fleet.ended[0]).toMatchObject({
      ending: 'stream_broken',
      code: 'answer_cut',
      trail: [expect.stringContaining('a: broke off'), expect.stringContaining('b: broke off')],
    })
  })
})

describe('a seed', () => {
  it('goes on where the request says that it may, as it would have', async () => {
    await using fleet = await three()
    const body = chat.body(model, 'tell me', { options: { seed: 4 } })
    const whole = await tell(fleet.simulators[1]!.url, chat, body)
    const told = await broken(fleet, body, { headers: { 'x-chasqui-continue': 'on' } })
    expect(told).toMatchObject({ text: whole.text, ends: 1, errors: [] })
  })
})

describe('a header that says neither on nor off', () => {
  it('is refused', async () => {
    await using fleet = await three()
    const answer = await fetch(fleet.url + chat.path, {
      method: 'POST',
      headers: { 'x-chasqui-continue': 'perhaps' },
      body: JSON.stringify(chat.body(model, 'tell me')),
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toEqual({ error: 'X-Chasqui-Continue is on or off' })
  })
})

describe('an error inside a stream', () => {
  it('of the model or the request is final, to the letter', async () => {
    await using fleet = await three()
    const [a, b] = fleet.simulators
    const fault = { kind: 'error-after-chunks', chunks: 12, text: 'the <very> "words"' } as const
    a!.faults.replace([fault, fault])
    const body = chat.body(model, 'tell me')
    const direct = await tell(a!.url, chat, body)
    const told = await tell(fleet.url, chat, body)
    expect(told.answer.lines.at(-1)).toBe(direct.answer.lines.at(-1))
    expect(told.answer.lines).toHaveLength(13)
    expect(asked(b)).toBe(0)
  })

  it('of a later leg as well', async () => {
    await using fleet = await three()
    const [a, b, c] = fleet.simulators
    a!.faults.replace([{ kind: 'reset-after-chunks', chunks: 12 }])
    b!.faults.replace([{ kind: 'error-after-chunks', chunks: 3, text: 'no such word' }])
    const told = await tell(fleet.url, chat, chat.body(model, 'tell me'))
    expect(told).toMatchObject({ ends: 0, errors: ['no such word'] })
    expect(asked(c)).toBe(0)
    expect(fleet.ended[0]).toMatchObject({ ending: 'upstream_error' })
  })

  it.each([
    '/api/chat',
    '/api/generate',
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/messages',
    '/v1/responses',
  ] as const)('of a runner that died is not, on %s', async (path) => {
    await using fleet = await three()
    const [a, b] = fleet.simulators
    const route = routes[path]
    const body = route.body(model, 'tell me')
    const whole = await tell(b!.url, route, body)
    a!.faults.replace([{ kind: 'crash-after-chunks', chunks: 12, path }])
    const told = await tell(fleet.url, route, body)
    expect(told).toMatchObject({ text: whole.text, ends: 1, errors: [] })
  })
})

describe('a model that only repeats itself', () => {
  it('is not gone on with, and is told by its code', async () => {
    await using fleet = await three()
    const told = await tell(fleet.url, chat, chat.body(repeating, 'tell me'))
    expect(told).toMatchObject({ ends: 0, errors: [expect.stringContaining('repeats itself')] })
    expect(fleet.ended[0]).toMatchObject({ code: 'repeat_guard', attempts: 1 })
  })

  it('is not gone on with when a later leg is ended like that', async () => {
    await using fleet = await three()
    const told = await broken(fleet, chat.body(repeating, 'tell me', { temperature: 0 }))
    expect(told).toMatchObject({ ends: 0, errors: [expect.stringContaining('repeats itself')] })
    expect(asked(fleet.simulators[2])).toBe(0)
    expect(fleet.ended[0]).toMatchObject({ attempts: 2 })
  })
})

describe('an end without a last line that repeats nothing', () => {
  it('is gone on with', async () => {
    await using fleet = await three()
    const [a, b] = fleet.simulators
    const body = chat.body(model, 'tell me')
    const whole = await tell(b!.url, chat, body)
    a!.faults.replace([{ kind: 'end-after-chunks', chunks: 12, path: chat.path }])
    expect(await tell(fleet.url, chat, body)).toMatchObject({ text: whole.text, ends: 1 })
  })
})
