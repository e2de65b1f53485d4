import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { DiscoverSettings } from '../../src/core/settings.ts'
import { Discovery } from '../../src/members/discovery.ts'
import type { BrowseTold } from '../../src/members/mdns.ts'
import { handClock } from '../help/clock.ts'
import { until } from '../help/until.ts'

const off: DiscoverSettings = {
  dns: [],
  dnsEveryMs: 30_000,
  folder: undefined,
  mdns: false,
  scan: [],
  scanEveryMs: 600_000,
  port: 11_434,
  accept: 'ask',
}

function looking(answering: (origin: string) => boolean) {
  const clock = handClock()
  const found: string[] = []
  const lost: string[] = []
  const said: unknown[] = []
  const asked: string[] = []
  const browsing: { told?: BrowseTold; ended: number } = { ended: 0 }
  const discovery = new Discovery({
    clock,
    env: {},
    noticed: (_sentence, detail) => said.push(detail),
    resolve: async () => [],
    call: async (origin) => {
      asked.push(origin)
      const body = Buffer.from('{"version":"1"}')
      return answering(origin) ? { status: 200, rawHeaders: [], body } : undefined
    },
    browse: async (told) => {
      browsing.told = told
      return { [Symbol.dispose]: () => void browsing.ended++ }
    },
    isOwn: () => false,
    isBarred: (address) => address.startsWith('169.254.'),
    found: ({ name, how }, accept) => found.push(`${name} ${how}${accept ? ' accepted' : ''}`),
    lost: (origin) => lost.push(origin),
    changed() {},
  })
  return { clock, found, lost, said, asked, browsing, discovery }
}

describe('looking for servers', () => {
  it('asks every address of the ranges at the start, and again after a while', async () => {
    const { clock, found, asked, discovery } = looking((origin) => origin.includes('10.0.0.2'))
    await discovery.reconfigure({ ...off, scan: ['10.0.0.0/30'] })
    await until(() => found.length === 1)
    expect([found, asked.length]).toEqual([['10.0.0.2-11434 scan'], 4])
    clock.pass(599_000)
    expect(asked).toHaveLength(4)
    clock.pass(1_000)
    await until(() => asked.length === 8)
    await discovery.reconfigure({ ...off, scan: ['10.0.0.2'], accept: 'all' })
    await until(() => found.includes('10.0.0.2-11434 scan accepted'))
    await discovery.reconfigure(off)
    clock.pass(1_200_000)
    expect(asked).toHaveLength(9)
    discovery[Symbol.dispose]()
  })

  it('believes an announcement when an Ollama answers there, and a goodbye at once', async () => {
    const { found, lost, said, browsing, discovery } = looking((origin) => origin.endsWith(':1'))
    await discovery.reconfigure({ ...off, mdns: true })
    await until(() => browsing.told !== undefined)
    browsing.told?.found({ address: '10.0.0.7', port: 2 })
    browsing.told?.found({ address: '10.0.0.7', port: 1 })
    await until(() => found.length > 0)
    expect(found).toEqual(['10.0.0.7-1 mdns'])
    browsing.told?.gone({ address: '10.0.0.7', port: 1 })
    expect(lost).toEqual(['http://10.0.0.7:1'])
    browsing.told?.failed('no network')
    expect(said).toEqual([{ why: 'no network' }])
    await discovery.reconfigure(off)
    await until(() => browsing.ended === 1)
  })
})

describe('announcements', () => {
  // Anybody on the network could make the proxy send a request to any address, that of a cloud's metadata among them:
  // whether a server may be called was judged after it had been.
  it('make nobody call whom we would not let in', async () => {
    const { found, asked, browsing, discovery } = looking(() => true)
    await discovery.reconfigure({ ...off, mdns: true })
    await until(() => browsing.told !== undefined)
    browsing.told?.found({ address: '169.254.169.254', port: 80 })
    browsing.told?.found({ address: '10.0.0.7', port: 1 })
    await until(() => found.length > 0)
    expect(asked).toEqual(['http://10.0.0.7:1'])
    discovery[Symbol.dispose]()
  })

  it('of very many servers are looked into a few at a time, up to an end', async () => {
    const { asked, browsing, discovery } = looking(() => false)
    await discovery.reconfigure({ ...off, mdns: true })
    await until(() => browsing.told !== undefined)
    for (let port = 1; port <= 3_000; port++) browsing.told?.found({ address: '10.0.0.7', port })
    expect(asked.length).toBeLessThanOrEqual(32)
    await until(() => asked.length === 1_032)
    discovery[Symbol.dispose]()
  })
})

/** A network of its own, where multicast can not reach anybody. */
const inNetwork = (script: string) =>
  spawnSync(
    'unshare',
    [
      '-Urn',
      'sh',
      '-c',
      `ip link set lo up && ip link add d0 type veth peer name d1 && ip addr add 10.9.8.7/24 dev d0 &&
       ip link set d0 up && ip link set d1 up && ip route add default dev d0 && ${script}`,
    ],
    { encoding: 'utf8', timeout: 15_000, cwd: join(import.meta.dirname, '..', '..') },
  )
const canMakeNetworks = inNetwork('true').status === 0

describe('multicast DNS', () => {
  if (!canMakeNetworks)
    process.stderr.write('multicast DNS is not tried: this machine makes no network namespaces\n')

  it.skipIf(!canMakeNetworks)('finds a server that announces itself', { timeout: 20_000 }, () => {
    const announce = `
      const { createServer } = require('node:http')
      const { Bonjour } = require('bonjour-service')
      createServer((_, answer) => answer.end('{"version":"0.33.0"}')).listen(4321)
      new Bonjour().publish({ name: 'box', type: 'ollama', port: 4321, host: 'box.local' })
      setTimeout(() => process.exit(), 8000)
    `
    const node = process.execPath
    const { stdout, stderr } = inNetwork(
      `{ ${node} -e "${announce.replaceAll('"', '\\"')}" & sleep 1; ${node} src/main.mjs discover --json; kill $!; }`,
    )
    expect([stdout.trim(), stderr]).toEqual([
      '{"servers":[{"url":"http://10.9.8.7:4321","version":"0.33.0","how":"mdns"}]}',
      '',
    ])
  })
})
