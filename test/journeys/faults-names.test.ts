import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import {
  type AddressInfo,
  connect,
  createServer,
  getDefaultAutoSelectFamilyAttemptTimeout,
  type Socket,
} from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  type Simulator,
  type SimulatorSettings,
  startSimulator,
} from '../../backends/simulator/server.ts'
import { backendAt } from '../../src/core/backend.ts'
import { canonicalName } from '../../src/core/model-name.ts'
import { startFleet } from '../help/fleet.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, chat, model } from '../help/warm-fleet.ts'
import { startHole } from './faults-hole.ts'
import { startTlsFront } from './faults-tls-front.ts'

const refreshMs = 200

/** Names as the test says: the addresses of each, or the code of an error. */
type Names = Record<string, readonly string[] | string>

async function resolveIn(names: Names, host: string): Promise<LookupAddress[]> {
  const says = names[host] ?? 'ENOTFOUND'
  if (typeof says === 'string') throw Object.assign(new Error(says), { code: says })
  return says.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}

/** A server with the model in memory, wherever it listens, under whatever name it is called. */
async function startAt(
  host: string,
  port: number,
  more: Partial<SimulatorSettings> = {},
): Promise<Simulator> {
  const settings = { models: [model], answerTokens: 5, slots: 8, hostCheck: false }
  const simulator = await startSimulator({ ...settings, host, port, ...more })
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${simulator.port}`
  await wholeCall(`${url}/api/generate`, { body: { model, keep_alive: -1 } })
  simulator.clearTrace()
  return simulator
}

const quick = 'probes: { interval: 200ms, timeout: 190ms }'

/** A proxy in front of the servers at these addresses, called a, b … */
async function proxyFor(origins: readonly string[], names: Names, config = quick) {
  let looks = 0
  const noticed: string[] = []
  const turned: string[] = []
  const fleet = await startFleet({
    simulators: [],
    config: `continuation: false\n${config}`,
    settings: (settings) => ({
      ...settings,
      backends: origins.map((origin, index) => ({
        ...backendAt('abc'[index]!, origin),
        slots: 8,
        // The certificate of these tests is signed by nobody.
        insecure: true,
      })),
    }),
    doors: {
      names: {
        resolve(host) {
          looks++
          return resolveIn(names, host)
        },
        refreshMs,
      },
      observer: {
        noticed: (sentence) => void noticed.push(sentence),
        backendTurned: (name, state, reason) => void turned.push(`${name} ${state} ${reason}`),
      },
    },
  })
  return {
    ...fleet,
    noticed,
    turned,
    looks: () => looks,
    isReady: (name = 'a') =>
      until(() => {
        const endpoint = fleet.app.pool.endpoint(name)
        return endpoint?.ready === true && endpoint.model(canonicalName(model))?.resident === true
      }),
    ask: async (text = 'hello') => await wholeCall(`${fleet.url}/api/chat`, { body: chat(text) }),
    [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
  }
}

/** Fault catalogue 22. */
describe('a name with two addresses', () => {
  it('leads to the one that lives when nobody listens at the other', async () => {
    await using living = await startAt('127.0.0.3', 0)
    const names = { 'den.test': ['127.0.0.2', '127.0.0.3'] }
    await using proxy = await proxyFor([`http://den.test:${living.port}`], names)
    await proxy.isReady()
    const answers = await Promise.all(Array.from({ length: 5 }, () => proxy.ask()))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(asked(living)).toBe(5)
    expect(proxy.ended.every(({ attempts }) => attempts === 1)).toBe(true)
  })

  it('leads to the one that lives when the other swallows everything, and stays there', async () => {
    await using hole = await startHole('127.0.0.2')
    await using living = await startAt('127.0.0.3', hole.port)
    const names = { 'den.test': ['127.0.0.2', '127.0.0.3'] }
    await using proxy = await proxyFor(
      [`http://den.test:${living.port}`],
      names,
      'probes: { interval: 3s, timeout: 2s }',
    )
    await proxy.isReady()
    const slowestMs: number[] = []
    // More at once than before each time, so that some of them make a new connection.
    for (const length of [4, 6, 8]) {
      const answers = await Promise.all(Array.from({ length }, () => proxy.ask()))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      slowestMs.push(Math.max(...answers.map(({ tookMs }) => tookMs)))
    }
    expect(proxy.ended.every(({ attempts }) => attempts === 1)).toBe(true)
    // Who has to find out that the first address is dead does so for this long.
    expect(Math.min(...slowestMs)).toBeLessThan(getDefaultAutoSelectFamilyAttemptTimeout())
  })

  it('may be a server that is known by its number alone, in either version', async (test) => {
    if (!(await hasSix())) test.skip('this machine has no ::1')
    await using living = await startAt('::1', 0)
    const names = { 'six.test': ['::1'] }
    const origins = [`http://[::1]:${living.port}`, `http://six.test:${living.port}`]
    await using proxy = await proxyFor(origins, names)
    for (const name of ['a', 'b']) await proxy.isReady(name)
    const answers = await Promise.all(Array.from({ length: 4 }, () => proxy.ask()))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const asks = new Set(answers.map(({ headers }) => headers['x-chasqui-backend']))
    expect([...asks].sort()).toEqual(['a', 'b'])
  })
})

/** Fault catalogue 23. */
describe('a name whose address changes', () => {
  it('leads to the new one at once, while what runs ends at the old one', async () => {
    await using server = await startAt('127.0.0.1', 0, {
      answerTokens: 60,
      decodeTokensPerSecond: 50,
    })
    await using old = await startRelay('127.0.0.2', 0, server.port)
    await using next = await startRelay('127.0.0.3', old.port, server.port)
    const names: Names = { 'den.test': ['127.0.0.2'] }
    await using proxy = await proxyFor([`http://den.test:${old.port}`], names)
    await proxy.isReady()
    const turns = proxy.turned.length
    const stream = openCall(`${proxy.url}/api/chat`, { body: chat('hello', { stream: true }) })
    await until(() => stream.lines().length > 3)
    // The connection of the stream, and kept ones of the probes.
    expect(old.open()).toBeGreaterThan(1)

    names['den.test'] = ['127.0.0.3']
    const changedMs = performance.now()
    await until(() => next.taken() > 0 && old.open() === 1)
    expect(performance.now() - changedMs).toBeLessThan(refreshMs + 5_000)
    const taken = old.taken()
    const [one, two] = await Promise.all([proxy.ask(), proxy.ask()])
    expect([one.status, two.status]).toEqual([200, 200])

    expect(await stream.ended).toBe('clean')
    expect(JSON.parse(stream.lines().at(-1)!)).toMatchObject({ done: true, eval_count: 60 })
    await until(() => old.open() === 0)
    expect(old.taken()).toBe(taken)
    expect(proxy.ended.map(({ attempts }) => attempts)).toEqual([1, 1, 1])
    expect(proxy.turned.slice(turns)).toEqual([])
  })

  it('is followed behind TLS as well', async () => {
    await using server = await startAt('127.0.0.1', 0)
    await using front = await startTlsFront(server.port, 'good')
    const { port } = new URL(front.url)
    await using old = await startRelay('127.0.0.2', 0, Number(port))
    await using next = await startRelay('127.0.0.3', old.port, Number(port))
    const names: Names = { 'den.test': ['127.0.0.2'] }
    await using proxy = await proxyFor([`https://den.test:${old.port}`], names)
    await proxy.isReady()
    const turns = proxy.turned.length
    expect((await proxy.ask()).status).toBe(200)
    names['den.test'] = ['127.0.0.3']
    await until(() => next.taken() > 0 && old.open() === 0, refreshMs + 5_000)
    const taken = old.taken()
    expect((await proxy.ask()).status).toBe(200)
    expect(old.taken()).toBe(taken)
    expect(proxy.turned.slice(turns)).toEqual([])
  })
})

/** Fault catalogue 24. */
describe('a name that can not be looked up for a while', () => {
  it('keeps its last address: every request is answered, and one line is written', async () => {
    await using server = await startAt('127.0.0.2', 0)
    const names: Names = { 'den.test': ['127.0.0.2'] }
    await using proxy = await proxyFor([`http://den.test:${server.port}`], names)
    await proxy.isReady()
    const turns = proxy.turned.length
    names['den.test'] = 'EAI_AGAIN'
    const before = proxy.looks()
    const statuses: number[] = []
    // More and more at once: some need a new connection each time.
    for (let round = 1; proxy.looks() < before + 4; round++) {
      const answers = await Promise.all(Array.from({ length: 1 + (round % 8) }, () => proxy.ask()))
      statuses.push(...answers.map(({ status }) => status))
    }
    expect(statuses.length).toBeGreaterThan(20)
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(proxy.noticed).toEqual(['a name can not be looked up; its last address stays in use'])
    expect(proxy.turned.slice(turns)).toEqual([])
  })
})

/** Fault catalogue 80. */
describe('a name that nobody knows at the start', () => {
  it('holds nothing up: the proxy serves with the others, and with it when it is known', async () => {
    await using here = await startAt('127.0.0.2', 0)
    await using den = await startAt('127.0.0.3', 0)
    const names: Names = {}
    const origins = [`http://127.0.0.2:${here.port}`, `http://den.test:${den.port}`]
    await using proxy = await proxyFor(origins, names)
    await proxy.isReady()
    const health = async () => (await (await fetch(`${proxy.url}/health`)).json()) as Health
    expect(await health()).toMatchObject({
      status: 'degraded',
      backends: [{ state: 'ready' }, { state: 'away', reason: 'its name does not resolve' }],
    })
    expect((await proxy.ask()).headers['x-chasqui-backend']).toBe('a')
    names['den.test'] = ['127.0.0.3']
    await until(async () => (await health()).status === 'ok')
    const answers = await Promise.all(Array.from({ length: 4 }, () => proxy.ask()))
    const asks = new Set(answers.map(({ headers }) => headers['x-chasqui-backend']))
    expect([...asks].sort()).toEqual(['a', 'b'])
    // Asked for again and again, and written down once.
    expect(proxy.noticed).toEqual([])
    expect(proxy.turned.filter((turn) => turn.startsWith('b'))).toEqual([
      'b away its name does not resolve',
      'b ready ',
    ])
  })

  it('is all there is: the proxy starts, says so, and serves when it is known', async () => {
    await using den = await startAt('127.0.0.3', 0)
    const names: Names = {}
    await using proxy = await proxyFor([`http://den.test:${den.port}`], names)
    const health = async () => (await (await fetch(`${proxy.url}/health`)).json()) as Health
    expect(await health()).toMatchObject({
      status: 'down',
      backends: [{ state: 'away', reason: 'its name does not resolve' }],
    })
    expect((await fetch(`${proxy.url}/readyz`)).status).toBe(503)
    expect((await proxy.ask()).status).toBe(503)
    names['den.test'] = ['127.0.0.3']
    await until(async () => (await health()).status === 'ok')
    expect((await proxy.ask()).status).toBe(200)
  })
})

interface Health {
  readonly status: string
  readonly backends: readonly { readonly state: string; readonly reason: string }[]
}

/** Another address of a server: what comes in there goes on to it. */
async function startRelay(host: string, port: number, to: number) {
  const clients = new Set<Socket>()
  let taken = 0
  const server = createServer((client) => {
    taken++
    clients.add(client)
    const behind = connect(to, '127.0.0.1')
    const end = () => {
      clients.delete(client)
      client.destroy()
      behind.destroy()
    }
    for (const socket of [client, behind]) socket.on('error', () => {}).on('close', end)
    client.pipe(behind).pipe(client)
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    taken: () => taken,
    open: () => clients.size,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

async function hasSix(): Promise<boolean> {
  const server = createServer()
  const listens = new Promise<boolean>((resolve) => {
    server.once('listening', () => resolve(true)).once('error', () => resolve(false))
  })
  server.listen(0, '::1')
  const does = await listens
  server.close()
  return does
}
