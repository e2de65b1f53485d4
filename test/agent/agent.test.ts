import { describe, expect, it } from 'vitest'
import { type Agent, type AgentOptions, startAgent } from '../../backends/agent/agent.ts'
import {
  type Simulator,
  type SimulatorSettings,
  startSimulator,
} from '../../backends/simulator/server.ts'
import { backendAt } from '../../src/core/backend.ts'
import { readLoadReport } from '../../src/core/load-report.ts'
import { joinKey } from '../../src/guard/signing.ts'
import { settingsFrom } from '../help/fleet.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { freePort } from '../help/ports.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { fromMember, startFakeProxy } from './help.ts'

const token = 'a shared token'

interface Wrapped extends AsyncDisposable {
  readonly agent: Agent
  readonly url: string
  readonly simulator: Simulator
  readonly said: readonly string[]
}

async function wrapped(
  simulated: Partial<SimulatorSettings>,
  more: Partial<AgentOptions> & { ollama?: string; config?: string } = {},
): Promise<Wrapped> {
  const folder = scratchFolder()
  const simulator = await startSimulator({ models: ['m'], ...simulated })
  const said: string[] = []
  const { ollama = simulator.url, config = '', ...options } = more
  const settings = {
    ...settingsFrom(config, folder.path),
    backends: [backendAt('ollama', ollama)],
  }
  const agent = await startAgent({
    settings,
    read: async () => settings,
    version: '0.0.0',
    env: {},
    name: 'walnut',
    labels: ['gpu'],
    slots: 2,
    join: undefined,
    manage: undefined,
    say: (sentence) => said.push(sentence),
    ...options,
  })
  return {
    agent,
    url: agent.app.url,
    simulator,
    said,
    async [Symbol.asyncDispose]() {
      await agent.stop(0)
      await simulator.close()
      folder[Symbol.dispose]()
    },
  }
}

const chat = (model = 'm') => ({ model, messages: [{ role: 'user', content: 'hello' }] })
const joining = (origin: string) => ({ join: { origin, token, advertise: undefined } })
/** The name in Via of whoever probes this server. */
const hopOf = (simulator: Simulator) =>
  simulator
    .trace()
    .flatMap(({ headers }) => headers)
    .find(([name]) => name.toLowerCase() === 'via')![1]
    .replace('1.1 ', '')
const statusOf = async (url: string) =>
  (await (await fetch(`${url}/queue-status`)).json()) as Record<string, unknown>

describe('an agent that joins', () => {
  it('says who it is, and then every beat how its machine is', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 4)
    const [join, ...beats] = proxy.calls
    expect(join).toMatchObject({
      path: '/api/workers',
      body: { name: 'walnut', port: it.agent.app.port, labels: ['gpu'], managed: false },
    })
    expect(JSON.stringify(proxy.calls)).not.toContain(token)
    expect(beats.map(({ body }) => body['sequence'])).toEqual(beats.map((_, index) => index + 1))
    expect(new Set(beats.map(({ path }) => path))).toEqual(
      new Set(['/api/workers/walnut/heartbeat']),
    )
    const report = readLoadReport(beats.at(-1)!.body['load'])
    expect(report).toMatchObject({ free_slots: 1, queue: 0, active: 0, drained: false })
    expect(report!.cpu.cores).toBeGreaterThan(0)
    expect(report!.memory.total_bytes).toBeGreaterThan(0)
    await until(() => it.said.length > 0)
    expect(it.said).toEqual([`has joined ${proxy.url} as "walnut"`])
  })

  it('says once that it waits to be accepted, and once that it was', async () => {
    await using proxy = await startFakeProxy(joinKey(token), 100)
    proxy.state = 'pending'
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 3)
    proxy.state = 'accepted'
    await until(() => it.said.length >= 2)
    expect(it.said[0]).toContain('chasqui backend accept walnut')
    expect(it.said[1]).toBe(`has joined ${proxy.url} as "walnut"`)
  })

  it('joins anew at once when the proxy does not know it any more', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 2)
    proxy.forget()
    await until(() => proxy.calls.filter(({ path }) => path === '/api/workers').length === 2)
    const joins = proxy.calls.filter(({ path }) => path === '/api/workers')
    expect(joins[0]!.body['nonce']).not.toBe(joins[1]!.body['nonce'])
    expect(joins[0]!.body['instance']).toBe(joins[1]!.body['instance'])
  })

  it('tries again while nobody is there, and says so once', async () => {
    await using it = await wrapped({}, joining(`http://127.0.0.1:${await freePort()}`))
    it.agent.join()
    await until(() => it.said.length > 0)
    expect(it.said[0]).toMatch(/does not answer; it is tried again/)
    expect((await wholeCall(`${it.url}/api/chat`, { body: chat() })).status).toBe(200)
  })

  it('says what is wrong with its token, and is not fooled by who has another', async () => {
    await using proxy = await startFakeProxy(joinKey('another token'))
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => it.said.length > 0)
    expect(it.said[0]).toBe(`${proxy.url} refuses: forged. Mend the token.`)
    expect(await statusOf(it.url)).toMatchObject({ join: 'joining' })
  })

  it('leaves when it stops, and only then ends what still runs', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    const it = await wrapped(
      { answerTokens: 40, decodeTokensPerSecond: 100 },
      { ...joining(proxy.url), config: 'timeouts: { drain: 10s }' },
    )
    it.agent.join()
    await until(() => proxy.calls.length >= 2)
    const call = openCall(`${it.url}/api/chat`, { body: chat() })
    await until(() => call.lines().length > 0)
    const stopped = it[Symbol.asyncDispose]()
    await until(() => proxy.calls.some(({ path }) => path.endsWith('/leave')))
    const late = await wholeCall(`${it.url}/api/chat`, { body: chat() })
    expect(late.status).toBe(503)
    expect(late.headers['retry-after']).toBe('5')
    const beatsAtLeave = proxy.calls.length
    expect(await call.ended).toBe('clean')
    expect(call.lines().at(-1)).toContain('"done":true')
    await stopped
    expect(proxy.calls.length).toBeGreaterThanOrEqual(beatsAtLeave)
  })
})

describe('what the proxy asks of an agent', () => {
  it('is answered when it is signed with the token: hello tells who it is and how its Ollama is', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    const hello = (key: Buffer) =>
      proxy.order(it.url, '/agent/hello', { key, body: '{"nonce":"00","name":"walnut","hop":"h"}' })
    const said = await hello(joinKey(token))
    expect(said).toMatchObject({
      status: 200,
      isSigned: true,
      body: { name: 'walnut', ollama: 'ok', models: 1 },
    })
    expect(await hello(joinKey('another'))).toMatchObject({
      status: 401,
      isSigned: false,
      body: { code: 'join_forged' },
    })
  })

  it('finds a proxy in place of the Ollama', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using other = await wrapped({})
    await using it = await wrapped({}, { ...joining(proxy.url), ollama: other.url })
    const hello = (hop: string) =>
      proxy.order(it.url, '/agent/hello', {
        key: joinKey(token),
        body: JSON.stringify({ nonce: '00', name: 'walnut', hop }),
      })
    expect((await hello('chasqui-elsewhere')).body['ollama']).toBe('ok')
    expect((await hello(hopOf(other.simulator))).body['ollama']).toBe('loop')
  })

  it('finds itself in place of the Ollama', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    const body = JSON.stringify({ nonce: '00', name: 'walnut', hop: hopOf(it.simulator) })
    const said = await proxy.order(it.url, '/agent/hello', { key: joinKey(token), body })
    expect(said.body['ollama']).toBe('loop')
  })

  it('is done once: orders that are played again, unsigned or out of order are refused', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 2)
    const drain = await proxy.order(it.url, '/agent/drain')
    expect(drain).toMatchObject({ status: 200, isSigned: true, body: { state: 'draining' } })
    proxy.state = 'draining'
    const again = { headers: drain.headers, body: drain.sent }
    expect(await proxy.order(it.url, '/agent/drain', again)).toMatchObject({ status: 401 })
    expect(await proxy.order(it.url, '/agent/resume', { headers: {} })).toMatchObject({
      status: 401,
    })
    expect(await proxy.order(it.url, '/agent/resume', { sequence: 1 })).toMatchObject({
      status: 401,
    })
    expect(await proxy.order(it.url, '/agent/restart', { sequence: 5 })).toMatchObject({
      status: 409,
      isSigned: true,
    })
    expect(await statusOf(it.url)).toMatchObject({ drained: true })
  })

  it('drains it: new requests hear 503, and are served again when it is resumed', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 2)
    proxy.state = 'draining'
    await proxy.order(it.url, '/agent/drain')
    const refused = await wholeCall(`${it.url}/api/chat`, { body: chat() })
    expect(refused.status).toBe(503)
    expect(refused.headers['retry-after']).toBe('5')
    proxy.state = 'accepted'
    await proxy.order(it.url, '/agent/resume')
    expect((await wholeCall(`${it.url}/api/chat`, { body: chat() })).status).toBe(200)
  })
})

describe('the load of an agent', () => {
  it('stands in the head of what the proxy asks, and nowhere else', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({ traceBodyBytes: 10_000 }, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 2)
    const ask = (headers: Record<string, string>) =>
      wholeCall(`${it.url}/api/chat`, { body: chat(), headers })
    const member = await ask(fromMember(proxy.tag()))
    expect(member.headers['x-chasqui-load']).toMatch(/^free=\d, queue=0, active=1(, hidden=0)?$/)
    expect(member.text).not.toMatch(/free=|x-chasqui/i)
    const list = await fetch(`${it.url}/api/tags`, { headers: fromMember(proxy.tag()) })
    expect(list.headers.get('x-chasqui-load')).toMatch(/^free=\d/)
    for (const headers of [{}, fromMember('0'.repeat(32)), fromMember('')]) {
      const stranger = await ask(headers)
      expect(stranger.status).toBe(200)
      expect(stranger.headers['x-chasqui-load']).toBeUndefined()
    }
    // The tag is between the two of them.
    const seen = it.simulator.trace().flatMap(({ headers }) => headers.map(([name]) => name))
    expect(seen.map((name) => name.toLowerCase())).not.toContain('x-chasqui-member')
  })

  it('is told to this machine in full', async () => {
    await using it = await wrapped({ models: ['m', 'all-minilm'], slots: 2 })
    await wholeCall(`${it.url}/api/chat`, { body: chat() })
    let report = readLoadReport(await (await fetch(`${it.url}/agent/load`)).json())
    await until(async () => {
      report = readLoadReport(await (await fetch(`${it.url}/agent/load`)).json())
      return Object.keys(report?.capabilities ?? {}).length === 2
    })
    expect(report).toMatchObject({
      free_slots: 2,
      slots: { 'm:latest': { used: 0, limit: 2, learned: false } },
      hidden: 0,
    })
    expect(report!.resident[0]).toMatchObject({ model: 'm:latest', context: 4_096 })
    expect(report!.capabilities['m:latest']).toContain('completion')
    expect(report!.capabilities['all-minilm:latest']).toContain('embedding')
  })

  it('lets the proxy change what is on its disk', async () => {
    await using proxy = await startFakeProxy(joinKey(token))
    await using it = await wrapped({}, joining(proxy.url))
    it.agent.join()
    await until(() => proxy.calls.length >= 2)
    const pull = (headers: Record<string, string>) =>
      wholeCall(`${it.url}/api/pull`, {
        body: { model: 'n', stream: false },
        // A peer behind another proxy is nobody of this machine.
        headers: { 'x-forwarded-for': '203.0.113.9', ...headers },
      })
    expect((await pull({})).status).toBe(403)
    expect((await pull(fromMember(proxy.tag()))).status).toBe(200)
  })
})
