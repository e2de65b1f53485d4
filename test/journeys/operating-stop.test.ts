import { once } from 'node:events'
import { Agent, get, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { fakeModel, startFakeOllama } from '../help/fake-ollama.ts'
import { startFleet } from '../help/fleet.ts'
import { ask, statusOf } from '../help/herd.ts'
import { type OpenCall, openCall } from '../help/open-call.ts'
import { takesConnections } from '../help/ports.ts'
import { startProxyProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const json = (value: object) => JSON.stringify(value)
const event = (value: object, name?: string) =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${json(value)}\n\n`
const model = 'llama3.2'
const messages = [{ role: 'user', content: 'hello' }]
const says = 'the proxy stops'

interface Family {
  readonly body: object
  /** What the backend says before it falls silent; absent: nothing. */
  readonly first?: string
  readonly type?: string
  /** The error in what the client got after that, in the family's own form. */
  readonly error: (rest: string) => unknown
}

const line = (rest: string): unknown => (JSON.parse(rest) as { error: unknown }).error
const data = (rest: string): unknown =>
  JSON.parse(/^(?:event: error\n)?data: (.*)\n\n$/.exec(rest)?.[1] ?? 'null')
const chunk = { id: 'x', object: 'chat.completion.chunk', model, created: 1 }
const families: Readonly<Record<string, Family>> = {
  '/api/chat': {
    body: { model, messages },
    first: `${json({ model: fakeModel, message: { role: 'assistant', content: 'a' }, done: false })}\n`,
    error: line,
  },
  '/api/generate': {
    body: { model, prompt: 'x' },
    first: `${json({ model: fakeModel, response: 'a', done: false })}\n`,
    error: line,
  },
  '/generate': {
    body: { model, prompt: 'x', stream: true },
    first: `${json({ model: fakeModel, response: 'a', done: false })}\n`,
    error: line,
  },
  '/v1/chat/completions': {
    body: { model, messages, stream: true },
    first: event({
      ...chunk,
      choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }],
    }),
    type: 'text/event-stream',
    error: (rest) => (data(rest) as { error: { message: string } }).error.message,
  },
  '/v1/completions': {
    body: { model, prompt: 'x', stream: true },
    first: event({
      ...chunk,
      object: 'text_completion',
      choices: [{ index: 0, text: 'a', finish_reason: null }],
    }),
    type: 'text/event-stream',
    error: (rest) => (data(rest) as { error: { message: string } }).error.message,
  },
  '/v1/messages': {
    body: { model, messages, stream: true, max_tokens: 5 },
    first: event(
      { type: 'message_start', message: { id: 'm', role: 'assistant', content: [] } },
      'message_start',
    ),
    type: 'text/event-stream',
    error: (rest) => (data(rest) as { error: { message: string } }).error.message,
  },
  '/v1/responses': {
    body: { model, input: 'x', stream: true },
    first: event(
      { type: 'response.created', sequence_number: 0, response: { id: 'r' } },
      'response.created',
    ),
    type: 'text/event-stream',
    error: (rest) => (data(rest) as { error: { message: string } }).error.message,
  },
  '/api/pull': {
    body: { model: 'new' },
    first: `${json({ status: 'pulling manifest' })}\n`,
    error: line,
  },
  '/api/create': {
    body: { model: 'made', from: 'llama3.2' },
    first: `${json({ status: 'reading' })}\n`,
    error: line,
  },
}

/** Families that have sent nothing when the limit comes: a status can still be said. */
const silent: Readonly<
  Record<string, { body: object; method?: string; error: (text: string) => unknown }>
> = {
  '/api/chat': { body: { model, messages, stream: false }, error: line },
  '/v1/chat/completions': {
    body: { model, messages },
    error: (text) => (JSON.parse(text) as { error: { message: string } }).error.message,
  },
  '/api/pull': { body: { model: 'silent', stream: false }, error: line },
  '/api/copy': { body: { source: model, destination: 'b' }, error: line },
}

describe('the limit of a stop', () => {
  it('ends what still runs in every family, commands too, with one error that is clean', async () => {
    await using fake = await startFakeOllama((request, response: ServerResponse) => {
      const chunks: Buffer[] = []
      request.on('data', (bytes: Buffer) => chunks.push(bytes))
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as {
          stream?: boolean
          model?: string
        }
        const streams = (body.stream ?? request.url?.startsWith('/api/')) && body.model !== 'silent'
        const path =
          request.url === '/api/generate' && !json(body).includes('prompt') ? '' : request.url
        const family = families[path ?? '']
        if (!streams || !family?.first) return
        response.writeHead(200, { 'content-type': family.type ?? 'application/x-ndjson' })
        response.write(family.first)
      })
    })
    const env = { CHASQUI_TIMEOUTS_DRAIN: '200ms', CHASQUI_PROBES_INTERVAL: '60s' }
    await using proxy = await startProxyProcess([`${fake.url},slots=20`], [], env)
    await until(async () => (await statusOf(proxy.url)).active_backends === 1)
    const streams = Object.entries(families).map(([path, { body }]): [string, OpenCall] => [
      path,
      openCall(`${proxy.url}${path}`, { body }),
    ])
    const whole = Object.entries(silent).map(([path, { body }]): [string, OpenCall] => [
      path,
      openCall(`${proxy.url}${path}`, { body }),
    ])
    for (const [path, call] of streams)
      await until(() => call.text() !== '', 5_000, `a first frame of ${path}`)
    await until(() => fake.asked() >= streams.length + whole.length)
    const before = new Map(streams.map(([path, call]) => [path, call.text().length]))
    proxy.kill('SIGTERM')
    for (const [path, call] of streams) {
      expect([path, await call.ended]).toEqual([path, 'clean'])
      const rest = call.text().slice(before.get(path))
      expect([path, families[path]!.error(rest)]).toEqual([path, expect.stringContaining(says)])
    }
    for (const [path, call] of whole) {
      const { status, headers } = await call.head
      expect([path, status, await call.ended]).toEqual([path, 503, 'clean'])
      expect([path, silent[path]!.error(call.text())]).toEqual([
        path,
        expect.stringContaining(says),
      ])
      expect(headers['retry-after']).toBeDefined()
    }
    expect(await proxy.exited()).toBe(0)
  })
})

describe('a stop', () => {
  it('fails readiness first, and goes on taking connections as long as load balancers were promised', async () => {
    await using simulator = await startSimulator({ models: [model], answerTokens: 3 })
    const env = { CHASQUI_TIMEOUTS_NOTICE: '700ms' }
    await using proxy = await startProxyProcess([simulator.url], [], env)
    const body = json({ model, messages, stream: false })
    const chat = () => ask(`${proxy.url}/api/chat`, { method: 'POST', body })
    await until(async () => (await chat()).status === 200)
    proxy.kill('SIGTERM')
    const signalledMs = performance.now()
    await until(async () => (await ask(`${proxy.url}/readyz`)).status === 503, 500)
    const answered = await chat()
    expect([answered.status, answered.headers['connection']]).toEqual([200, 'close'])
    await until(async () => !(await takesConnections(Number(new URL(proxy.url).port))), 3_000)
    expect(performance.now() - signalledMs).toBeGreaterThan(690)
    expect(await proxy.exited()).toBe(0)
  })

  it('at a second signal is the end', async () => {
    await using simulator = await startSimulator({
      models: [model],
      answerTokens: 10_000,
      decodeTokensPerSecond: 20,
    })
    await using proxy = await startProxyProcess([simulator.url])
    await until(async () => (await statusOf(proxy.url)).active_backends === 1)
    const call = openCall(`${proxy.url}/api/generate`, { body: { model, prompt: 'x' } })
    await until(() => call.text() !== '')
    proxy.kill('SIGTERM')
    await until(() => proxy.stderr().includes('SIGTERM, stopping'))
    proxy.kill('SIGINT')
    expect(await proxy.exited()).toBe(130)
    expect(await call.ended).toBe('cut')
  })

  it.each([
    ['the net door', 'POST', '/api/chat'],
    ['node:http', 'GET', '/api/tags'],
  ])(
    'answers who is about to use an idle connection to %s, and says that it was the last time',
    async (_, method, path) => {
      await using fleet = await startFleet({ simulators: [{ models: [model], answerTokens: 2 }] })
      await until(() => fleet.app.pool.endpoints.every(({ onDisk }) => onDisk.size > 0))
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const body = method === 'POST' ? json({ model, messages, stream: false }) : ''
      const call = async () => {
        const calling = request(`${fleet.url}${path}`, {
          agent,
          method,
          headers: { 'content-length': Buffer.byteLength(body) },
        }).end(body)
        const [socket] = (await once(calling, 'socket')) as [Socket]
        const [response] = (await once(calling, 'response')) as [IncomingMessage]
        const { localPort } = socket
        response.resume()
        await once(response, 'end')
        return { status: response.statusCode, connection: response.headers.connection, localPort }
      }
      const first = await call()
      expect(first).toMatchObject({ status: 200, connection: 'keep-alive' })
      await until(() => Object.keys(agent.freeSockets).length === 1)
      const stopped = fleet.app.stop({ idleMs: 5_000 })
      await until(async () => !(await takesConnections(fleet.app.port)))
      const second = await call()
      expect(second).toEqual({ ...first, connection: 'close' })
      // Nobody is left: it need not wait for the idle time.
      await stopped
      agent.destroy()
    },
  )

  it('closes connections that stay idle, when their time is over', async () => {
    await using fleet = await startFleet({ simulators: [{}] })
    const agent = new Agent({ keepAlive: true })
    const [incoming] = (await once(get(`${fleet.url}/livez`, { agent }), 'response')) as [
      IncomingMessage,
    ]
    incoming.resume()
    await once(incoming, 'end')
    const startedMs = performance.now()
    await fleet.app.stop({ idleMs: 200 })
    const tookMs = performance.now() - startedMs
    expect([tookMs > 195, tookMs < 1_500]).toEqual([true, true])
    agent.destroy()
  })
})
