import { describe, expect, it } from 'vitest'
import { logged, startConfigured } from '../help/configured.ts'
import { ask, statusOf } from '../help/herd.ts'
import { until } from '../help/until.ts'
import { startFakeAgent, token } from '../members/help.ts'

const config = (more: string) =>
  `continuation: false\nbackends: []\njoin: {token: ${token}, allow: [{name: "*"}], allow_addresses: [127.0.0.0/8]}\n${more}`

const names = async (url: string) =>
  (await statusOf(url)).backends.filter(({ state }) => state === 'ready').map(({ name }) => name)

describe('a reload', () => {
  it('drops no member, gives a name to the configuration first, and closes the door for others', async () => {
    await using agent = await startFakeAgent()
    await using late = await startFakeAgent({ name: 'oak' })
    await using it = await startConfigured(config(''))
    expect((await agent.join(it.url)).status).toBe(200)
    await until(async () => (await names(it.url)).includes('walnut'))

    it.write(config('queue: {max: 7}\n'))
    await until(() => logged(it.proxy, 'reload').length === 1)
    expect(await names(it.url)).toEqual(['walnut'])
    expect((await agent.heartbeat(it.url)).status).toBe(200)

    // The name belongs to the configuration now, and the member steps back, alive.
    const taken = `backends: [{name: walnut, url: "${late.simulator.url}"}]`
    it.write(config('queue: {max: 7}\n').replace('backends: []', taken))
    await until(async () => (await statusOf(it.url)).backends[0]?.url === late.simulator.url)
    // What the member says of itself was taken for the backend that has the name now, and orders went to the member.
    expect((await agent.heartbeat(it.url)).status).toBe(200)
    const worker = `${it.url}/api/workers/walnut`
    expect((await (await fetch(worker)).json()) as object).toMatchObject({ load: null })
    for (const verb of ['drain', 'resume']) {
      const answer = await fetch(`${worker}/${verb}`, { method: 'POST' })
      expect([answer.status, (await answer.json()) as object]).toEqual([
        200,
        expect.not.objectContaining({ agent: expect.anything() }),
      ])
    }
    expect((await fetch(`${worker}/restart`, { method: 'POST' })).status).toBe(409)
    expect(agent.heard.map(({ path }) => path)).not.toContain('/agent/drain')
    it.write(config('queue: {max: 8}\n'))
    await until(async () =>
      (await statusOf(it.url)).backends.some(({ url }) => url.endsWith(`:${agent.port}`)),
    )

    it.write('continuation: false\n')
    await until(() => logged(it.proxy, 'reload').length === 4)
    expect((await late.join(it.url)).json['code']).toBe('join_closed')
    expect((await agent.heartbeat(it.url)).status).toBe(200)
    await until(async () => (await names(it.url)).includes('walnut'))
    const answer = await ask(`${it.url}/api/tags`)
    expect(answer.text).toContain('llama3.2')
    expect(it.proxy.stderr()).not.toContain(token)
  })
})
