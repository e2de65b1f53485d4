import { createHash } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Fleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import { startCalmFleet } from './routing-fleet.ts'

type Headers = Readonly<Record<string, string>>

async function post(
  { url }: Pick<Fleet, 'url'>,
  path: string,
  body: unknown,
  headers: Headers = {},
): Promise<{ status: number; headers: globalThis.Headers; text: string }> {
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

const chat = (fleet: Pick<Fleet, 'url'>, model: string, headers: Headers = {}, more: object = {}) =>
  post(
    fleet,
    '/api/chat',
    { model, messages: [{ role: 'user', content: 'hello' }], stream: false, ...more },
    headers,
  )

const modelIn = (text: string) => (JSON.parse(text) as { model: string }).model
const backendsOf = (fleet: Fleet, last: number) =>
  fleet.ended
    .slice(-last)
    .map(({ backend }) => backend)
    .join('')
const key = (words: string) => ({ authorization: `Bearer ${words}` })
const tenantOf = (words: string) =>
  `key:${createHash('sha256').update(words).digest('hex').slice(0, 16)}`

const short = { models: ['m'], answerTokens: 5 }

describe('rules', () => {
  it('keep a tenant from a backend, also when no other can serve', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, models: ['m', 'rare'] }, short, short],
      backend: (backend, index) => ({ ...backend, labels: index === 2 ? ['night'] : [] }),
      config: `rules: [{ when: { tenant: "${tenantOf('guest')}" }, never: [a, label:night] }]`,
    })
    for (let each = 0; each < 6; each++) await chat(fleet, 'm', key('guest'))
    expect(backendsOf(fleet, 6)).toBe('bbbbbb')
    const refused = await chat(fleet, 'rare', key('guest'))
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('rules')])
    expect(fleet.ended.at(-1)?.code).toBe('ruled_out')
    expect((await chat(fleet, 'rare', key('owner'))).status).toBe(200)
  })

  it('keep a model to one backend, and a backend to its models', async () => {
    await using fleet = await startCalmFleet({
      simulators: [
        { ...short, models: ['m', 'big:70b'] },
        { ...short, models: ['m', 'big:70b'] },
      ],
      backend: (backend, index) =>
        index === 0 ? { ...backend, models: { allow: [], deny: ['*:70b'] } } : backend,
      config: 'rules: [{ when: { model: m }, only: a }]',
    })
    for (let each = 0; each < 3; each++) await chat(fleet, 'm')
    for (let each = 0; each < 3; each++) await chat(fleet, 'big:70b')
    expect(backendsOf(fleet, 6)).toBe('aaabbb')
    fleet.app.pool.setEnabled(fleet.app.pool.endpoint('b')!, false)
    const listed = await (await fetch(`${fleet.url}/api/tags`)).text()
    expect(listed).not.toContain('70b')
  })

  it('prefer a backend for as much longer as they say, and no more', async () => {
    const busy = { models: ['m'], answerTokens: 4_000, slots: 1 }
    await using fleet = await startCalmFleet({
      simulators: [busy, busy],
      backend: (backend) => ({ ...backend, slots: 1, labels: [`only-${backend.name}`] }),
      config: 'rules: [{ prefer: { b: 150ms } }]',
    })
    for (const { url } of fleet.simulators) await post({ url }, '/api/generate', { model: 'm' })
    for (const endpoint of fleet.app.pool.endpoints) endpoint.learnLoaded('m:latest')
    const ask = (num_predict: number, headers: Headers = {}) =>
      chat(fleet, 'm', headers, { options: { num_predict } })
    const long = () => ask(2_000, { 'x-chasqui-labels': 'only-b' })
    for (let each = 0; each < 3; each++) await ask(4)
    expect(backendsOf(fleet, 3)).toBe('bbb')
    for (let each = 0; each < 2; each++) await long()
    // An answer of the usual length takes longer than what the preference is worth.
    const running = long()
    await until(() => fleet.app.pool.endpoint('b')!.inFlight === 1)
    await ask(4)
    expect(backendsOf(fleet, 1)).toBe('a')
    expect((await running).status).toBe(200)
  })

  it('say the priority of who names none, and send simple work to a small model, and say so', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, models: ['small', 'large'] }],
      config: [
        'rules:',
        '  - when: { work: nightly }',
        '    priority: batch',
        '  - when: { model: auto, prompt_tokens_max: 100, tools: false, images: false }',
        '    use_model: small',
        '  - when: { model: auto }',
        '    use_model: large',
      ].join('\n'),
    })
    await chat(fleet, 'large', { 'x-chasqui-work': 'nightly' })
    await chat(fleet, 'large', { 'x-chasqui-work': 'nightly', 'x-chasqui-priority': 'interactive' })
    await chat(fleet, 'large', { 'x-chasqui-work': 'nightly', 'x-chasqui-priority': 'normal' })
    expect(fleet.ended.map(({ priority }) => priority)).toEqual(['batch', 'interactive', 'normal'])

    const simple = await chat(fleet, 'auto')
    expect([simple.status, modelIn(simple.text)]).toEqual([200, 'small'])
    expect(simple.headers.get('x-chasqui-model')).toBe('small')
    expect(simple.headers.get('proxy-status')).toContain('small:latest answers for auto:latest')
    expect(fleet.ended.at(-1)?.substitute).toEqual({ asked: 'auto:latest', why: 'rule' })
    const hard = await chat(
      fleet,
      'auto',
      {},
      {
        messages: [{ role: 'user', content: 'x '.repeat(400) }],
      },
    )
    expect(modelIn(hard.text)).toBe('large')
  })
})

describe('rules for what is spread over the fleet', () => {
  const never = (name: string) => `rules: [{ when: { tenant: "key:*" }, never: ${name} }]`

  it('hold for every part of a split text', async () => {
    await using fleet = await startCalmFleet({ simulators: [short, short], config: never('a') })
    const body = { model: 'm', input: ['a', 'b', 'c', 'd'], split: { by: 'items', size: 1 } }
    const answer = await post(fleet, '/generate', body, key('guest'))
    expect(answer.status).toBe(200)
    const { split } = JSON.parse(answer.text) as { split: { backends: Record<string, number> } }
    expect(split.backends).toEqual({ b: 4 })
  })

  it('hold for every part of a batch of embeddings', async () => {
    const embedding = { models: ['all-minilm'] }
    for (const name of ['a', 'b']) {
      await using fleet = await startCalmFleet({
        simulators: [embedding, embedding],
        config: never(name),
      })
      const input = Array.from({ length: 64 }, (_, at) => `text ${at} ${'word '.repeat(100)}`)
      const batch = { model: 'all-minilm', input }
      expect((await post(fleet, '/api/embed', batch, key('guest'))).status).toBe(200)
      const barred = fleet.simulators['ab'.indexOf(name)]!
      const asked = barred.trace().filter(({ route }) => route === '/api/embed')
      expect(asked).toEqual([])
    }
  })
})

describe('an alias', () => {
  const config = 'models: { aliases: { gpt-4o-mini: "qwen3:14b" } }'
  const startAliased = () =>
    startCalmFleet({ simulators: [{ ...short, models: ['qwen3:14b', 'all-minilm'] }], config })

  it('is answered under the name that the client used, and nothing else of the request is touched', async () => {
    await using fleet = await startAliased()
    const before = '{ "stream": false,\n "mod\\u0065l" :\t"gpt-4o-mini"'
    const after = ', "messages":[{"role":"user","content":"model \\"gpt-4o-mini\\" ü"}] , "x":1.50}'
    const answer = await post(fleet, '/api/chat', before + after)
    expect([answer.status, modelIn(answer.text)]).toEqual([200, 'gpt-4o-mini'])
    expect(Number(answer.headers.get('content-length'))).toBe(Buffer.byteLength(answer.text))
    expect(answer.headers.get('x-chasqui-model')).toBe('qwen3:14b')
    const sent = fleet.simulators[0]!.trace().at(-1)!.bodyText
    expect(sent).toBe(before.replace('gpt-4o-mini', 'qwen3:14b') + after)
    expect(fleet.ended.at(-1)).toMatchObject({
      model: 'qwen3:14b',
      substitute: { asked: 'gpt-4o-mini:latest', why: 'alias' },
    })
  })

  it('is said in every line of a stream, in each of the three languages', async () => {
    await using fleet = await startAliased()
    const messages = [{ role: 'user', content: 'hello' }]
    const body = { model: 'gpt-4o-mini', messages, stream: true, max_tokens: 20 }
    const native = await post(fleet, '/api/chat', body)
    const lines = native.text.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(3)
    expect(lines.map(modelIn).every((name) => name === 'gpt-4o-mini')).toBe(true)
    for (const path of ['/v1/chat/completions', '/v1/messages']) {
      const { status, text } = await post(fleet, path, body)
      expect(status).toBe(200)
      expect(text).toContain('"model":"gpt-4o-mini"')
      expect(text).not.toContain('qwen3')
    }
  })

  it('is listed, shown, embedded, and held in a file like every model', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, models: ['qwen3:14b', 'all-minilm'], traceBodyBytes: 4_000_000 }],
      config: [
        'models: { aliases: { gpt-4o-mini: "qwen3:14b", text-embedding-3-small: all-minilm } }',
        'limits: { body_in_memory_max: 64KiB }',
      ].join('\n'),
    })
    const tags = await (await fetch(`${fleet.url}/api/tags`)).text()
    expect(tags).toContain('"name":"gpt-4o-mini"')
    expect(tags).toContain('"name":"qwen3:14b"')
    const models = await (await fetch(`${fleet.url}/v1/models`)).text()
    expect(models).toContain('"id":"gpt-4o-mini"')
    const one = await fetch(`${fleet.url}/v1/models/gpt-4o-mini`)
    expect([one.status, ((await one.json()) as { id: string }).id]).toEqual([200, 'gpt-4o-mini'])
    expect((await post(fleet, '/api/show', { name: 'gpt-4o-mini' })).status).toBe(200)

    const embedded = await post(fleet, '/v1/embeddings', {
      model: 'text-embedding-3-small',
      input: ['a', 'b'],
    })
    expect([embedded.status, modelIn(embedded.text)]).toEqual([200, 'text-embedding-3-small'])

    const content = 'long '.repeat(60_000)
    const large = await chat(fleet, 'gpt-4o-mini', {}, { messages: [{ role: 'user', content }] })
    expect([large.status, modelIn(large.text)]).toEqual([200, 'gpt-4o-mini'])
    const sent = JSON.parse(fleet.simulators[0]!.trace().at(-1)!.bodyText!) as {
      model: string
      messages: { content: string }[]
    }
    expect([sent.model, sent.messages[0]?.content]).toEqual(['qwen3:14b', content])
  })

  it('holds for /generate and for every part of a split text', async () => {
    await using fleet = await startAliased()
    const body = { model: 'gpt-4o-mini', input: ['a', 'b', 'c'], split: { by: 'items', size: 1 } }
    const whole = await post(fleet, '/generate', { model: 'gpt-4o-mini', prompt: 'hello' })
    expect([whole.status, modelIn(whole.text)]).toEqual([200, 'gpt-4o-mini'])
    const split = await post(fleet, '/generate', body)
    expect([split.status, modelIn(split.text)]).toEqual([200, 'gpt-4o-mini'])
    const native = await post(
      fleet,
      '/api/generate',
      { model: 'gpt-4o-mini', prompt: 'one\ntwo\nthree', stream: false },
      { 'x-chasqui-split': 'by=lines; size=1' },
    )
    expect([native.status, modelIn(native.text)]).toEqual([200, 'gpt-4o-mini'])
  })

  it('in a packed body is refused with what to do, and leaves nothing held', async () => {
    await using fleet = await startAliased()
    const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] }
    const packed = zstdCompressSync(Buffer.from(JSON.stringify(body)))
    const refused = await post(fleet, '/v1/chat/completions', packed, {
      'content-encoding': 'zstd',
    })
    expect([refused.status, refused.text]).toEqual([400, expect.stringContaining('qwen3:14b')])
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
    expect(metrics).toContain('chasqui_held_body_bytes{where="memory"} 0')
  })

  it('unloads the model that is meant, and deletes nothing', async () => {
    await using fleet = await startAliased()
    await chat(fleet, 'gpt-4o-mini')
    const [simulator] = fleet.simulators
    const loaded = async () => await (await fetch(`${simulator!.url}/api/ps`)).text()
    expect(await loaded()).toContain('qwen3:14b')
    await post(fleet, '/api/generate', { model: 'gpt-4o-mini', keep_alive: 0 })
    expect(await loaded()).not.toContain('qwen3:14b')
    const gone = await fetch(`${fleet.url}/api/delete`, {
      method: 'DELETE',
      body: JSON.stringify({ model: 'gpt-4o-mini' }),
    })
    expect(gone.status).toBe(404)
    expect(await (await fetch(`${simulator!.url}/api/tags`)).text()).toContain('qwen3:14b')
  })
})

describe('a fallback', () => {
  const config = 'models: { fallbacks: { "big:70b": ["gone:1b", "mid:32b", "small"] } }'

  it('stands in for a model that is away or unknown, and says so in every place', async () => {
    await using fleet = await startCalmFleet({
      simulators: [
        { ...short, models: ['big:70b'] },
        { ...short, models: ['mid:32b', 'small'] },
      ],
      config,
    })
    const own = await chat(fleet, 'big:70b')
    expect([own.status, own.headers.get('x-chasqui-model')]).toEqual([200, null])
    fleet.app.pool.setEnabled(fleet.app.pool.endpoint('a')!, false)
    const other = await chat(fleet, 'big:70b')
    expect([other.status, modelIn(other.text)]).toEqual([200, 'mid:32b'])
    expect(other.headers.get('x-chasqui-model')).toBe('mid:32b')
    expect(other.headers.get('proxy-status')).toContain(
      'nobody can serve big:70b, mid:32b stands in',
    )
    expect(fleet.ended.at(-1)).toMatchObject({
      model: 'mid:32b',
      substitute: { asked: 'big:70b', why: 'fallback' },
    })
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
    expect(metrics).toContain(
      'chasqui_fallback_total{from_model="big:70b",to_model="mid:32b",reason="fallback"} 1',
    )
    const unknown = await chat(fleet, 'other:1b')
    expect(unknown.status).toBe(404)
  })

  it('stands in for a model whose only backend has died a moment ago', async () => {
    await using fleet = await startCalmFleet({
      simulators: [
        { ...short, models: ['big:70b'] },
        { ...short, models: ['small'] },
      ],
      config,
    })
    await fleet.simulators[0]!.close()
    const answer = await chat(fleet, 'big:70b')
    expect([answer.status, modelIn(answer.text)]).toEqual([200, 'small'])
    expect(fleet.ended.at(-1)?.trail.join()).toContain('a: unreachable')
  })

  it('stands in for nobody who may not have the model', async () => {
    await using fleet = await startCalmFleet({
      simulators: [{ ...short, models: ['big:70b', 'small'] }],
      config: `${config}\nrules: [{ when: { tenant: "key:*", model: "big:70b" }, never: a }]`,
    })
    expect((await chat(fleet, 'big:70b', key('guest'))).status).toBe(403)
    expect((await chat(fleet, 'big:70b')).status).toBe(200)
  })
})
