import { describe, expect, it } from 'vitest'
import { DnsNames } from '../../src/members/dns-names.ts'
import { handClock } from '../help/clock.ts'
import { until } from '../help/until.ts'

function namesWith(answers: Record<string, string[] | Error>) {
  const clock = handClock()
  const said: string[] = []
  let changes = 0
  const names = new DnsNames({
    clock,
    resolve: async (host) => {
      const answer = answers[host] ?? Object.assign(new Error('gone'), { code: 'ENOTFOUND' })
      if (answer instanceof Error) throw answer
      return answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    },
    resolveSrv: async () => [
      { name: 'one.example', port: 4_001, priority: 0, weight: 0 },
      { name: 'two.example', port: 4_002, priority: 0, weight: 0 },
    ],
    noticed: (sentence) => said.push(sentence),
    isOwn: (address) => address === '10.0.0.99',
    changed: () => {
      changes++
    },
  })
  const settings = { dns: ['ollama.example'], dnsEveryMs: 30_000, port: 11_434 }
  return {
    clock,
    names,
    said,
    answers,
    settings,
    changes: () => changes,
    shown: () => names.backends().map(({ name, origin }) => `${name} ${origin}`),
  }
}

describe('a name with several addresses', () => {
  it('is a backend for each of them, by what DNS says now', async () => {
    const it = namesWith({ 'ollama.example': ['10.0.0.2', '10.0.0.1', '10.0.0.99', 'fd00::1'] })
    await it.names.reconfigure(it.settings)
    expect(it.shown()).toEqual([
      '10.0.0.1-11434 http://10.0.0.1:11434',
      '10.0.0.2-11434 http://10.0.0.2:11434',
      'fd00-1-11434 http://[fd00::1]:11434',
    ])
    it.answers['ollama.example'] = ['10.0.0.2', '10.0.0.3']
    it.clock.pass(30_000)
    await until(() => it.changes() === 2)
    expect(it.shown().map((each) => each.split(' ')[0])).toEqual([
      '10.0.0.2-11434',
      '10.0.0.3-11434',
    ])
    it.names[Symbol.dispose]()
  })

  it('tells nobody while nothing is new, whatever the order of the answer', async () => {
    const it = namesWith({ 'ollama.example': ['10.0.0.2', '10.0.0.1'] })
    await it.names.reconfigure(it.settings)
    it.answers['ollama.example'] = ['10.0.0.1', '10.0.0.2']
    await it.names.reconfigure(it.settings)
    expect(it.changes()).toBe(1)
    await it.names.reconfigure({ ...it.settings, dns: [] })
    expect([it.shown(), it.changes()]).toEqual([[], 2])
  })

  it('keeps its last addresses while it can not be looked up, and says so once', async () => {
    const it = namesWith({ 'ollama.example': ['10.0.0.1'] })
    await it.names.reconfigure(it.settings)
    for (const trouble of [new Error('SERVFAIL'), [], new Error('SERVFAIL')]) {
      it.answers['ollama.example'] = trouble
      await it.names.reconfigure(it.settings)
    }
    expect(it.shown()).toHaveLength(1)
    expect(it.said).toEqual([expect.stringContaining('its last addresses stay in use')])
    it.answers['ollama.example'] = ['10.0.0.1']
    await it.names.reconfigure(it.settings)
    it.answers['ollama.example'] = new Error('again')
    await it.names.reconfigure(it.settings)
    expect(it.said).toHaveLength(2)
  })

  it('has ports of its own where it is a service', async () => {
    const it = namesWith({ 'one.example': ['10.0.0.1'], 'two.example': ['10.0.0.1', '10.0.0.2'] })
    await it.names.reconfigure({ ...it.settings, dns: ['_ollama._tcp.example'] })
    expect(it.names.backends().map(({ origin }) => origin)).toEqual([
      'http://10.0.0.1:4001',
      'http://10.0.0.1:4002',
      'http://10.0.0.2:4002',
    ])
  })

  it('is cut where all names together have more addresses than a fleet', async () => {
    const many = Array.from({ length: 300 }, (_, at) => `10.0.${at >> 8}.${at & 255}`)
    const it = namesWith({ 'ollama.example': many, 'more.example': ['10.9.9.9'] })
    await it.names.reconfigure({ ...it.settings, dns: ['ollama.example', 'more.example'] })
    expect(it.names.backends()).toHaveLength(256)
    expect(it.said).toEqual([expect.stringContaining('more addresses than can be used')])
  })
})
