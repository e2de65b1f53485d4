import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { joinKey, signedHeader, verify } from '../../src/guard/signing.ts'
import { type Fleet, type FleetOptions, startFleet } from '../help/fleet.ts'
import { ask } from '../help/herd.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { chat } from '../help/warm-fleet.ts'
import { type FakeAgent, report, startFakeAgent, token } from '../members/help.ts'

const base = 'continuation: false\nprobes: {interval: 200ms, timeout: 150ms}'
const open = `${base}\njoin: {token: ${token}, allow: [{name: "*"}], allow_addresses: [127.0.0.0/8]}`
const asking = `${base}\njoin: {token: ${token}, allow_addresses: [127.0.0.0/8]}`

const fleetWith = (config: string, more: Partial<FleetOptions> = {}) =>
  startFleet({ simulators: [{}], config, ...more })

const post = async (fleet: Fleet, path: string) => {
  const { status, text } = await ask(`${fleet.url}${path}`, { method: 'POST' })
  return { status, json: JSON.parse(text) as Record<string, unknown> }
}

const worker = async (fleet: Fleet, id: string) =>
  JSON.parse((await ask(`${fleet.url}/api/workers/${id}`)).text) as Record<string, unknown>

const isReady = (fleet: Fleet, name: string) => fleet.app.pool.endpoint(name)?.ready === true

describe('a join', () => {
  it('makes an agent a backend, with a signed answer that says when to be heard', async () => {
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent({ labels: ['gpu'] })
    const joined = await agent.join(fleet.url)
    expect([joined.status, joined.json]).toEqual([
      200,
      expect.objectContaining({
        state: 'accepted',
        name: 'walnut',
        heartbeat_ms: 5_000,
        gone_ms: 10_000,
      }),
    ])
    const said = {
      method: 'ANSWER 200',
      path: '/api/workers',
      body: joined.text,
      header: joined.headers.get(signedHeader) ?? undefined,
      nowMs: Date.now(),
    }
    expect(verify({ ...said, key: joinKey(token), nonce: joined.header.split(' ')[2]! }).ok).toBe(
      true,
    )
    await until(() => isReady(fleet, 'walnut'))
    expect(fleet.app.pool.endpoint('walnut')?.labels).toEqual(['gpu'])
    expect(await worker(fleet, 'walnut')).toMatchObject({
      id: 'walnut',
      status: 'online',
      kind: 'agent',
      how: 'joined',
      url: `http://127.0.0.1:${agent.port}`,
    })
  })

  it('is refused with what to do: no token here, another one there, unsigned, stale, replayed', async () => {
    await using closed = await fleetWith(base)
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent()
    await using stranger = await startFakeAgent({ token: 'another-token-of-signs' })
    const says = async (answer: Promise<{ status: number; json: Record<string, unknown> }>) => {
      const { status, json } = await answer
      expect(json['fix']).toEqual(expect.any(String))
      return [status, json['code'], json['detail']]
    }
    expect((await says(agent.join(closed.url))).slice(0, 2)).toEqual([403, 'join_closed'])
    expect(await says(stranger.join(fleet.url))).toEqual([
      401,
      'join_forged',
      'the call was signed with another token',
    ])
    expect((await says(agent.join(fleet.url, { header: '' })))[2]).toBe('the call is not signed')
    expect((await says(agent.join(fleet.url, { header: 'v1 x' })))[2]).toMatch(/can not be read/)
    const late = await says(agent.join(fleet.url, { nowMs: Date.now() - 61_000 }))
    expect(late).toEqual([401, 'join_forged', expect.stringContaining('clocks')])

    const words = agent.words()
    const first = await agent.call(fleet.url, '/api/workers', words, joinKey(token))
    expect(first.status).toBe(200)
    const again = { header: first.header }
    const replayed = agent.call(fleet.url, '/api/workers', words, joinKey(token), again)
    expect(await says(replayed)).toEqual([401, 'join_forged', 'this call was made before'])
    const changed = words.replace('"managed":false', '"managed":true')
    const forged = agent.call(fleet.url, '/api/workers', changed, joinKey(token), again)
    expect((await says(forged)).slice(0, 2)).toEqual([401, 'join_forged'])
  })

  it('is refused for an address that nobody outside should make the proxy call', async () => {
    await using fleet = await fleetWith(open.replace('127.0.0.0/8', '127.0.0.1'))
    await using strict = await fleetWith(open.replace('127.0.0.0/8', '192.0.2.1'))
    await using agent = await startFakeAgent()
    expect((await agent.join(strict.url)).json).toMatchObject({
      code: 'address_refused',
      detail: expect.stringContaining('is loopback'),
    })
    for (const [url, why] of [
      ['http://169.254.169.254/', 'metadata'],
      ['http://[::ffff:169.254.1.1]:80', 'link-local'],
      ['http://[fe80::1]:11436', 'link-local'],
      ['http://0.0.0.0:11436', 'unspecified'],
      ['http://224.0.0.1:11436', 'multicast'],
      ['http://127.0.0.2:11436', 'loopback'],
      ['https://192.0.2.1', 'http://'],
      ['http://u:p@192.0.2.1', 'without login'],
      ['http://192.0.2.1/x', 'without login'],
      [fleet.url, 'this proxy itself'],
      [`http://localhost:${fleet.app.port}`, 'this proxy itself'],
    ] as const) {
      await using other = await startFakeAgent({ says: { url } })
      const { status, json } = await other.join(fleet.url)
      expect([url, status, json['code']]).toEqual([url, 403, 'address_refused'])
      expect(json['detail']).toContain(why)
    }
  })

  it('is refused where the call back meets nobody, another one, or this proxy in a circle', async () => {
    await using fleet = await fleetWith(open)
    const refused = async (agent: FakeAgent) => {
      const { status, json } = await agent.join(fleet.url)
      return [status, json['code'], json['detail']]
    }
    await using nobody = await startFakeAgent({ says: { port: 1 } })
    expect((await refused(nobody)).slice(0, 2)).toEqual([502, 'agent_unreachable'])
    await using other = await startFakeAgent({ hello: (said) => ({ ...said, instance: 'other' }) })
    expect((await refused(other))[2]).toContain('is another one')
    await using loop = await startFakeAgent({ ollama: 'loop' })
    expect((await refused(loop)).slice(0, 2)).toEqual([508, 'loop'])
    await using foreign = await startSimulator({})
    const port = Number(new URL(foreign.url).port)
    await using elsewhere = await startFakeAgent({ says: { port } })
    expect(await refused(elsewhere)).toEqual([
      502,
      'agent_unreachable',
      expect.stringContaining('answered 404, and not with the same token'),
    ])
    // A port where a backend is that has not asked to join.
    await using bare = await startFakeAgent({
      says: { port: Number(new URL(fleet.simulators[0]!.url).port) },
    })
    expect((await refused(bare)).slice(0, 2)).toEqual([409, 'name_taken'])
    expect(fleet.app.pool.endpoints.map(({ name }) => name)).toEqual(['a'])
  })

  it('is refused for a name that is taken, and taken for another run at the same place', async () => {
    await using fleet = await fleetWith(open)
    await using configured = await startFakeAgent({ name: 'a' })
    expect((await configured.join(fleet.url)).json['code']).toBe('name_taken')
    await using one = await startFakeAgent()
    await using two = await startFakeAgent()
    expect((await one.join(fleet.url)).status).toBe(200)
    expect((await two.join(fleet.url)).json).toMatchObject({
      code: 'name_taken',
      detail: expect.stringContaining(`at http://127.0.0.1:${one.port}`),
    })
    const { port } = one
    await one[Symbol.asyncDispose]()
    await using again = await startFakeAgent({ port })
    expect((await again.join(fleet.url)).status).toBe(200)
    await until(() => isReady(fleet, 'walnut'))
  })

  it('is refused beyond join.max, and for words out of bounds', async () => {
    await using fleet = await fleetWith(open.replace('{token', '{max: 1, token'))
    await using one = await startFakeAgent()
    await using two = await startFakeAgent({ name: 'oak' })
    await one.join(fleet.url)
    const full = await two.join(fleet.url)
    expect([full.status, full.json['code']]).toEqual([429, 'members_full'])
    for (const says of [
      { name: 'Upper' },
      { name: 'x'.repeat(65) },
      { port: 0 },
      { instance: '' },
      { nonce: 'short' },
      { labels: Array(33).fill('a') },
      { labels: ['two words'] },
      { version: 'x'.repeat(65) },
      { managed: 'yes' },
    ]) {
      await using wrong = await startFakeAgent({ says })
      const { status, json } = await wrong.join(fleet.url)
      expect([says, status, json['code']]).toEqual([says, 400, 'request_invalid'])
    }
    const huge = await two.call(fleet.url, '/api/workers', 'x'.repeat(70_000), joinKey(token))
    expect([huge.status, huge.json['code']]).toEqual([413, 'body_too_large'])
  })
})

describe('a member that waits', () => {
  it('serves when it is accepted, and at once the next time', async () => {
    await using fleet = await fleetWith(asking)
    await using agent = await startFakeAgent()
    expect((await agent.join(fleet.url)).json['state']).toBe('pending')
    expect((await agent.heartbeat(fleet.url)).json['state']).toBe('pending')
    expect(fleet.app.pool.endpoint('walnut')).toBeUndefined()
    expect(await worker(fleet, 'walnut')).toMatchObject({ status: 'offline', state: 'pending' })

    expect(await post(fleet, '/api/workers/walnut/accept')).toMatchObject({
      status: 200,
      json: { state: 'accepted' },
    })
    await until(() => isReady(fleet, 'walnut'))
    expect((await agent.heartbeat(fleet.url)).json['state']).toBe('accepted')
    const { port } = agent
    await agent.leave(fleet.url)
    await until(() => fleet.app.pool.endpoint('walnut') === undefined)
    await agent[Symbol.asyncDispose]()
    await using again = await startFakeAgent({ port })
    expect((await again.join(fleet.url)).json['state']).toBe('accepted')
  })

  it('is not let in again when it was rejected, until it is accepted', async () => {
    await using fleet = await fleetWith(asking)
    await using agent = await startFakeAgent()
    await agent.join(fleet.url)
    expect((await post(fleet, '/api/workers/walnut/reject')).status).toBe(200)
    expect((await agent.heartbeat(fleet.url)).json['code']).toBe('worker_unknown')
    const refused = await agent.join(fleet.url)
    expect([refused.status, refused.json['code']]).toEqual([403, 'member_rejected'])
    expect((await post(fleet, '/api/workers/walnut/accept')).json['state']).toBe('awaited')
    expect((await agent.join(fleet.url)).json['state']).toBe('accepted')
  })

  it('is accepted and rejected by operators only', async () => {
    await using fleet = await fleetWith(asking)
    for (const verb of ['accept', 'reject', 'restart', 'drain', 'resume']) {
      const headers = { 'x-forwarded-for': '203.0.113.7' }
      const answer = await ask(`${fleet.url}/api/workers/a/${verb}`, { method: 'POST', headers })
      expect([verb, answer.status]).toEqual([verb, 403])
    }
    expect((await post(fleet, '/api/workers/a/accept')).status).toBe(400)
    expect((await post(fleet, '/api/workers/nobody/accept')).status).toBe(404)
  })
})

describe('a member in service', () => {
  it('hears its sign and the band of each request; a plain backend hears neither', async () => {
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent({ loadHead: 'free=1, queue=4, active=2, hidden=0' })
    await agent.join(fleet.url)
    await until(() => isReady(fleet, 'walnut'))
    await agent.heartbeat(fleet.url)
    fleet.app.pool.setEnabled(fleet.app.pool.endpoint('a')!, false)
    const headers = {
      'x-chasqui-member': 'forged',
      'x-chasqui-priority': 'interactive',
      'content-type': 'application/json',
    }
    const answer = await ask(`${fleet.url}/api/chat`, {
      method: 'POST',
      headers,
      body: JSON.stringify(chat('hello')),
    })
    expect([answer.status, answer.headers['x-chasqui-backend']]).toEqual([200, 'walnut'])
    expect(answer.headers['x-chasqui-load']).toBeUndefined()
    const forwarded = agent.heard.find(
      ({ path, headers: head }) => path === '/api/chat' && head['x-chasqui-member'],
    )
    expect(forwarded?.headers).toMatchObject({
      'x-chasqui-member': agent.tag,
      'x-chasqui-priority': 'interactive',
    })
    // What it said with that answer is known here.
    const status = JSON.parse((await ask(`${fleet.url}/queue-status`)).text) as Record<
      string,
      unknown
    >
    expect(status['queue_size']).toBe(4)
  })

  it('has the seats that its agent knows, and more only where the agent learns more', async () => {
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent()
    await agent.join(fleet.url)
    await until(() => isReady(fleet, 'walnut'))
    const rows = () => [...fleet.app.pool.endpoint('walnut')!.seatRows()]
    const [model = ''] = fleet.app.pool.endpoint('walnut')!.onDisk.keys()
    const slots = (limit: number, learned: boolean) => ({
      slots: { [model]: { used: 0, limit, learned } },
    })
    await agent.heartbeat(fleet.url, slots(3, true))
    expect(rows()).toContainEqual({ model, used: 0, limit: 3, learned: true })
    await agent.heartbeat(fleet.url, slots(5, false))
    expect(rows()).toContainEqual({ model, used: 0, limit: 5, learned: false })
    expect(await worker(fleet, 'walnut')).toMatchObject({ load: { free_slots: 2 } })
  })

  it('hears of a drain and of its end, and is told to restart only where it manages its server', async () => {
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent({ managed: true })
    await using plain = await startFakeAgent({ name: 'oak' })
    await agent.join(fleet.url)
    await plain.join(fleet.url)
    await until(() => isReady(fleet, 'walnut') && isReady(fleet, 'oak'))
    expect((await post(fleet, '/api/workers/walnut/drain')).json).toMatchObject({ agent: 'done' })
    expect((await agent.heartbeat(fleet.url)).json['state']).toBe('draining')
    expect((await post(fleet, '/api/workers/walnut/resume')).json).toMatchObject({ agent: 'done' })
    expect(agent.heard.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/agent/drain', '/agent/resume']),
    )
    expect((await post(fleet, '/api/workers/walnut/restart')).status).toBe(202)
    expect(await post(fleet, '/api/workers/oak/restart')).toMatchObject({
      status: 409,
      json: { code: 'not_managed', fix: expect.stringContaining('--manage') },
    })
    expect(await post(fleet, '/api/workers/a/restart')).toMatchObject({ status: 409 })
    expect(await post(fleet, '/api/workers/nobody/restart')).toMatchObject({ status: 404 })
  })

  it('ends what runs there when it leaves, and takes nothing new', async () => {
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent()
    await agent.join(fleet.url)
    await until(() => isReady(fleet, 'walnut'))
    const endpoint = fleet.app.pool.endpoint('walnut')!
    const [model = ''] = endpoint.onDisk.keys()
    const lease = endpoint.take(model, { seat: true, asTry: false })!
    expect((await agent.leave(fleet.url)).json).toEqual({ state: 'leaving' })
    expect(fleet.app.pool.endpoint('walnut')).toBeUndefined()
    expect(await worker(fleet, 'walnut')).toMatchObject({ state: 'leaving', running: 1 })
    lease.settle({ kind: 'answered', status: 200 })
    await until(async () => (await worker(fleet, 'walnut'))['status'] === 404)
  })

  it('believes a call of a session once, in order, and with its own key only', async () => {
    await using fleet = await fleetWith(open)
    await using agent = await startFakeAgent()
    await agent.join(fleet.url)
    const path = '/api/workers/walnut/heartbeat'
    const beat = (sequence: number, key: Buffer, more = {}) =>
      agent.call(fleet.url, path, JSON.stringify({ sequence, load: report }), key, more)
    const first = await beat(5, agent.session!)
    expect(first.status).toBe(200)
    expect((await beat(5, agent.session!, { header: first.header })).status).toBe(401)
    expect((await beat(4, agent.session!)).status).toBe(401)
    expect((await beat(6, joinKey(token))).status).toBe(401)
    expect((await beat(6, agent.session!)).status).toBe(200)
    const other = '/api/workers/nobody/heartbeat'
    const unknown = await agent.call(fleet.url, other, '{"sequence":1}', agent.session!)
    expect([unknown.status, unknown.json['code']]).toEqual([404, 'worker_unknown'])
  })

  it('keeps no secret where others read: answers, lists, the file of those accepted', async () => {
    await using fleet = await fleetWith(asking)
    await using agent = await startFakeAgent()
    await agent.join(fleet.url)
    await post(fleet, '/api/workers/walnut/accept')
    await until(() => isReady(fleet, 'walnut'))
    const { readFile } = await import('node:fs/promises')
    const file = `${fleet.app.settings.dataDir}/members.json`
    await until(async () => (await readFile(file, 'utf8').catch(() => '')).includes('walnut'))
    const texts = [
      await readFile(file, 'utf8'),
      ...(await Promise.all(
        ['/api/workers', '/queue-status', '/health', '/metrics', '/ui'].map(
          async (path) => (await ask(fleet.url + path)).text,
        ),
      )),
    ]
    for (const secret of [token, agent.tag!, agent.session!.toString('hex')])
      for (const text of texts) expect(text).not.toContain(secret)
  })
})

it('a demo is a fleet of its own: who served before is not in it', async () => {
  using folder = scratchFolder()
  const known = { name: 'ash', kind: 'plain', answer: 'accepted', serving: true, labels: [] }
  const place = { address: '127.0.0.1', origin: 'http://127.0.0.1:9' }
  writeFileSync(
    join(folder.path, 'members.json'),
    JSON.stringify({ version: 1, members: [{ ...known, ...place }] }),
  )
  const settings: FleetOptions['settings'] = (each) => ({ ...each, dataDir: folder.path })
  const names = ({ app }: Fleet) => app.pool.endpoints.map(({ name }) => name)
  await using demo = await fleetWith(base, { settings, doors: { demo: true } })
  expect(names(demo)).toEqual(['a'])
  await using fleet = await fleetWith(base, { settings })
  expect(names(fleet)).toEqual(['a', 'ash'])
})

it('a join that never ends its body holds nobody up', async () => {
  await using fleet = await fleetWith(open)
  await using agent = await startFakeAgent()
  const socket = connect(fleet.app.port, '127.0.0.1')
  socket.write('POST /api/workers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{')
  expect((await agent.join(fleet.url)).status).toBe(200)
  socket.destroy()
})
