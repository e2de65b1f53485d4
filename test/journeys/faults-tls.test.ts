import { describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { logged, startConfigured } from '../help/configured.ts'
import { statusOf } from '../help/herd.ts'
import { wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { chat, model } from '../help/warm-fleet.ts'
import { authorityFile, type Certificate, startTlsFront } from './faults-tls-front.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000 })

const bad: readonly (readonly [Certificate, string])[] = [
  ['self-signed', 'its certificate is signed by itself'],
  ['other-name', 'its certificate is for another name'],
  ['expired', 'its certificate has expired'],
]
const env = {
  NODE_EXTRA_CA_CERTS: authorityFile,
  // Whoever sets this for another program must not open all of our backends with it.
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
  CHASQUI_CONTINUATION: 'false',
}

async function startServer() {
  const simulator = await startSimulator({ models: [model], answerTokens: 3 })
  await wholeCall(`${simulator.url}/api/generate`, { body: { model, keep_alive: -1 } })
  simulator.clearTrace()
  return simulator
}

/** Fault catalogue 61. */
describe('a backend behind TLS', () => {
  it('is away with the reason when its certificate is bad, unless that one is let off', async () => {
    await using simulator = await startServer()
    await using good = await startTlsFront(simulator.port, 'good')
    await using selfSigned = await startTlsFront(simulator.port, 'self-signed')
    await using otherName = await startTlsFront(simulator.port, 'other-name')
    await using expired = await startTlsFront(simulator.port, 'expired')
    await using letOff = await startTlsFront(simulator.port, 'expired')
    const fronts = { good, 'self-signed': selfSigned, 'other-name': otherName, expired }
    const rows = Object.entries(fronts).map(([name, { url }]) => `{name: ${name}, url: "${url}"}`)
    rows.push(`{name: let-off, url: "${letOff.url}", insecure: true}`)
    await using proxy = await startConfigured(
      `backends:\n${rows.map((row) => `  - ${row}\n`).join('')}`,
      { env },
    )
    const stateOf = async (name: string) => {
      const { backends } = await statusOf(proxy.url)
      const { state, reason } = backends.find((each) => each.name === name)!
      return { state, reason }
    }
    for (const name of ['good', 'let-off'])
      await until(async () => (await stateOf(name)).state === 'ready')
    for (const [name, reason] of bad) {
      await until(async () => (await stateOf(name)).state === 'away')
      expect(await stateOf(name)).toEqual({ state: 'away', reason })
      await until(() => logged(proxy.proxy, 'backend').some(({ backend }) => backend === name))
      expect(logged(proxy.proxy, 'backend')).toContainEqual(
        expect.objectContaining({ backend: name, state: 'away', reason }),
      )
    }

    const asked = new Set<unknown>()
    for (let each = 0; each < 6; each++) {
      const answer = await wholeCall(`${proxy.url}/api/chat`, { body: chat('hello') })
      expect(answer.status).toBe(200)
      asked.add(answer.headers['x-chasqui-backend'])
    }
    expect([...asked].sort()).toEqual(['good', 'let-off'])
    // The operator's own way to one of them keeps to the same.
    const pinned = async (name: string) =>
      (await fetch(`${proxy.url}/backends/${name}/api/version`)).status
    expect(await pinned('good')).toBe(200)
    expect(await pinned('let-off')).toBe(200)
    for (const [name] of bad) expect(await pinned(name)).toBe(502)
    // Nobody has said a word to those that may be somebody else.
    expect([selfSigned, otherName, expired].map(({ taken }) => taken())).toEqual([0, 0, 0])
  })

  it('gets no request when its certificate has become a bad one since the last look', async () => {
    await using simulator = await startServer()
    await using a = await startTlsFront(simulator.port, 'good')
    await using b = await startTlsFront(simulator.port, 'good')
    await using proxy = await startConfigured(
      [
        'routing: {picker: capability, preferences: {chat: [a, b]}}',
        'breaker: {failures: 100}',
        'backends:',
        `  - {name: a, url: "${a.url}"}`,
        `  - {name: b, url: "${b.url}"}`,
      ].join('\n'),
      { env: { ...env, CHASQUI_PROBES_INTERVAL: '60s', CHASQUI_PROBES_TIMEOUT: '5s' } },
    )
    await until(async () => (await statusOf(proxy.url)).active_backends === 2)
    const asks = async () => {
      const answer = await wholeCall(`${proxy.url}/api/chat`, { body: chat('hello') })
      return [answer.status, answer.headers['x-chasqui-backend']]
    }
    expect(await asks()).toEqual([200, 'a'])
    for (const [certificate] of bad) {
      a.show(certificate)
      const before = a.taken()
      expect(await asks()).toEqual([200, 'b'])
      expect(a.taken()).toBe(before)
    }
    a.show('good')
    expect(await asks()).toEqual([200, 'a'])
    const trails = () => logged(proxy.proxy, 'exchange').flatMap(({ trail }) => trail ?? [])
    await until(() => trails().length >= bad.length)
    expect(trails()).toEqual(bad.map(([, reason]) => `a: unreachable: ${reason}`))
  })
})
