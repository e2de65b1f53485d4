import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, type Herd, type PlainAnswer, startHerd, startProxy } from '../help/herd.ts'
import { until } from '../help/until.ts'

let herd: Herd

const minority = 'd'.repeat(64)

beforeAll(async () => {
  const odd = JSON.stringify([{ name: 'llama3.2', digest: minority }, 'only-on-c', 'me/mine:7b'])
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2,qwen3', '--version', '0.33.0'],
      ['--models', 'llama3.2,all-minilm', '--version', '0.20.7'],
      ['--set', `models=${odd}`, '--version', '0.33.0-rc2'],
    ],
  })
}, 60_000)
afterAll(() => herd[Symbol.asyncDispose]())

test('tags is the union, one entry a name, newest first, each whole from one backend', async () => {
  const answer = await ask(`${herd.url}/api/tags`)
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
  const { models } = JSON.parse(answer.text) as { models: { name: string; modified_at: string }[] }
  expect(models.map(({ name }) => name).sort()).toEqual([
    'all-minilm:latest',
    'llama3.2:latest',
    'me/mine:7b',
    'only-on-c:latest',
    'qwen3:latest',
  ])
  const seconds = models.map(({ modified_at }) => Math.floor(Date.parse(modified_at) / 1000))
  expect(seconds).toEqual(seconds.toSorted((a, b) => b - a))
})

test('where digests differ the majority serves, and the operator sees it', async () => {
  const [a, b] = await Promise.all(herd.remotes.map(({ url }) => digestAt(url)))
  expect(a).toBe(b)
  expect(await digestAt(herd.url)).toBe(a)
  const { digest_conflicts } = await herd.status()
  expect(digest_conflicts).toEqual([
    {
      model: expect.stringContaining('llama3.2'),
      serving: a,
      digests: { [a!]: ['a', 'b'], [(await digestAt(herd.remotes[2]!.url))!]: ['c'] },
    },
  ])
  for (let round = 0; round < 6; round++) {
    const answer = await ask(`${herd.url}/api/generate`, {
      method: 'POST',
      body: '{"model":"llama3.2","prompt":"hi","stream":false}',
    })
    expect(answer.headers['x-chasqui-backend']).toMatch(/^[ab]$/)
  }
})

test('version is the lowest that serves', async () => {
  const answer = await ask(`${herd.url}/api/version`)
  expect(answer.text).toBe('{"version":"0.20.7"}')
})

test('ps has one row for a model that is loaded twice', async () => {
  for (const { url } of herd.remotes.slice(0, 2))
    await ask(`${url}/api/generate`, { method: 'POST', body: '{"model":"llama3.2"}' })
  const rows = async () => {
    const { models } = JSON.parse((await ask(`${herd.url}/api/ps`)).text) as {
      models: { name: string; size: number; size_vram: number; expires_at: string }[]
    }
    return models.filter(({ name }) => name === 'llama3.2:latest')
  }
  await until(async () => {
    const { backends } = await herd.status()
    return backends.slice(0, 2).every(({ resident }) => JSON.stringify(resident).includes('llama'))
  })
  expect(await rows()).toHaveLength(1)
})

test('v1/models lists the same names, and namespaces own theirs', async () => {
  const answer = await ask(`${herd.url}/v1/models`)
  expect(answer.headers['content-type']).toBe('application/json')
  expect(answer.text.endsWith('}\n')).toBe(true)
  const { object, data } = JSON.parse(answer.text) as {
    object: string
    data: { id: string; owned_by: string; object: string; created: number }[]
  }
  expect(object).toBe('list')
  expect(data).toHaveLength(5)
  expect(data.find(({ id }) => id === 'me/mine:7b')).toMatchObject({
    object: 'model',
    owned_by: 'me',
    created: expect.any(Number),
  })
  expect(data.find(({ id }) => id === 'qwen3:latest')!.owned_by).toBe('library')
})

test.each(['/', '/api/tags', '/api/version'])(
  'HEAD %s is answered without a body',
  async (path) => {
    const head = await ask(herd.url + path, { method: 'HEAD' })
    const get = await ask(herd.url + path)
    expect(head.status).toBe(200)
    expect(head.body).toHaveLength(0)
    expect(head.headers['content-type']).toBe(get.headers['content-type'])
    expect(head.headers['content-length']).toBe(String(get.body.length))
  },
)

test.each([
  ['GET', '/api/generate'],
  ['POST', '/api/tags'],
  ['HEAD', '/api/ps'],
  ['HEAD', '/v1/models'],
  ['GET', '/v1/chat/completions'],
  ['POST', '/api/delete'],
  ['PUT', '/api/blobs/sha256:00'],
  ['GET', '/nothing/here'],
  ['GET', '/api/nothing'],
  ['POST', '/v1/messages/count_tokens'],
  ['GET', '/v1/models/library/x'],
])('%s %s is refused in the words of the router', async (method, path) => {
  const ours = await ask(herd.url + path, { method })
  const theirs = await ask(herd.remotes[0]!.url + path, { method })
  expect(ours.status).toBe(theirs.status)
  expect(ours.text).toBe(theirs.text)
  expect(ours.headers['content-type']).toMatch(/^text\/plain/)
  const methods = ({ headers }: PlainAnswer) => String(headers['allow']).split(', ').sort()
  if (ours.status === 405) expect(methods(ours)).toEqual(methods(theirs))
})

test.each([
  ['POST', '/api/pull', ''],
  ['POST', '/api/pull', '{}'],
  ['POST', '/api/pull', '{'],
  ['POST', '/api/pull', '{"model":"a b"}'],
  ['POST', '/api/pull', '{"model":"missing"}'],
  ['POST', '/api/pull', '{"model":"missing","stream":false}'],
  ['POST', '/api/create', '{"model":"x"}'],
  ['POST', '/api/create', '{"model":"x","stream":false}'],
  ['POST', '/api/create', '{"from":"qwen3"}'],
  ['POST', '/api/create', '{"model":"x","files":{"a":"nope"},"stream":false}'],
  ['POST', '/api/create', `{"model":"x","files":{"a":"sha256:${'1'.repeat(64)}"}}`],
  ['POST', '/api/copy', '{}'],
  ['POST', '/api/copy', '{"source":"qwen3","destination":"a b"}'],
  ['POST', '/api/copy', '{"source":"nobody-has-this","destination":"x"}'],
  ['DELETE', '/api/delete', ''],
  ['DELETE', '/api/delete', '{"model":"a b"}'],
  ['DELETE', '/api/delete', '{"model":"nobody-has-this"}'],
  ['POST', '/api/push', '{}'],
  ['HEAD', '/api/blobs/abc', ''],
  ['POST', '/api/blobs/abc', 'x'],
  ['POST', `/api/blobs/sha256:${'1'.repeat(64)}`, 'x'],
  ['POST', '/api/show', ''],
  ['POST', '/api/show', '{}'],
  ['POST', '/api/show', '{"name":"nobody-has-this"}'],
  ['POST', '/api/generate', ''],
  ['POST', '/api/generate', '{}'],
  ['POST', '/api/generate', '{"model":"nobody-has-this","keep_alive":0}'],
  ['POST', '/api/chat', '{"model":5}'],
  ['POST', '/api/embed', '{}'],
  ['POST', '/api/embeddings', '{}'],
  ['POST', '/v1/chat/completions', ''],
  ['POST', '/v1/chat/completions', '{'],
  ['POST', '/v1/chat/completions', '{}'],
  ['POST', '/v1/embeddings', '{}'],
  ['POST', '/v1/messages', '{}'],
  [
    'POST',
    '/v1/messages',
    '{"model":"nobody-has-this","max_tokens":5,"messages":[{"role":"user","content":"x"}]}',
  ],
  ['POST', '/api/me', ''],
  ['POST', '/api/signout', ''],
  ['OPTIONS', '/api/tags', ''],
  ['PATCH', '/api/chat', ''],
])('%s %s %j is refused as a single server refuses it', async (method, path, text) => {
  const options = { method, ...(text === '' ? {} : { body: text }) }
  const ours = await ask(herd.url + path, options)
  const theirs = await ask(herd.remotes[0]!.url + path, options)
  const said = ({ status, headers, text: body }: PlainAnswer) => ({
    status,
    type: headers['content-type'],
    body: body.replace(/"req_[0-9a-f]{24}"/, '"req_"'),
  })
  expect(said(ours)).toEqual(said(theirs))
  expect(ours.status === 200 ? ours.text : 'refused').toMatch(/refused|error/)
})

test.each(['/api/tags/', '//api/tags', '/api//tags'])(
  '%s is mended, not redirected',
  async (path) => {
    const { hostname, port } = new URL(herd.url)
    const answer = await ask(`http://${hostname}:${port}${path}`)
    expect(answer.status).toBe(200)
    expect(answer.text).toMatch(/qwen3/)
  },
)

test('a browser at / is sent to the page, everybody else hears that Ollama is running', async () => {
  const page = await ask(`${herd.url}/`, { headers: { accept: 'text/html,application/xhtml+xml' } })
  expect(page.status).toBe(302)
  expect(page.headers['location']).toBe('/ui')
  const ui = await ask(`${herd.url}/ui`)
  expect(ui.headers['content-type']).toMatch(/^text\/html/)
  const plain = await ask(`${herd.url}/`)
  expect(plain.text).toBe('Ollama is running')
  expect(plain.headers['content-type']).toBe('text/plain; charset=utf-8')
})

test.each(['/api/tags', '/api/generate', '/v1/messages', '/', '/nothing', '/ui', '/generate'])(
  "a foreign page and a foreign name are turned away at %s, on Ollama's paths without a word",
  async (path) => {
    const ours = ['/ui', '/generate'].includes(path)
    const method = path.endsWith('generate') ? 'POST' : 'GET'
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://localhost.evil.example' },
      { host: 'evil.example' },
      { host: 'evil.example:11435', origin: 'http://evil.example:11435' },
    ]
    for (const headers of foreign) {
      const answer = await ask(herd.url + path, { method, headers })
      expect({ headers, status: answer.status }).toEqual({ headers, status: 403 })
      if (!ours) expect(answer.text).toBe('')
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
  },
)

test('a page of this machine may call, and its preflight is answered as Ollama answers it', async () => {
  const origin = 'http://localhost:3000'
  const headers = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'content-type,authorization',
  }
  const ours = await ask(`${herd.url}/api/chat`, { method: 'OPTIONS', headers })
  const theirs = await ask(`${herd.remotes[0]!.url}/api/chat`, { method: 'OPTIONS', headers })
  expect(ours.status).toBe(204)
  for (const name of [
    'access-control-allow-origin',
    'access-control-allow-methods',
    'access-control-allow-headers',
    'access-control-max-age',
  ])
    expect(ours.headers[name], name).toBe(theirs.headers[name])
  const answer = await ask(`${herd.url}/api/tags`, { headers: { origin } })
  expect(answer.headers['access-control-allow-origin']).toBe(origin)
  const foreign = await ask(`${herd.url}/api/chat`, {
    method: 'OPTIONS',
    headers: { ...headers, origin: 'https://evil.example' },
  })
  expect(foreign).toMatchObject({ status: 403, text: '' })
})

test('a page may read an error too', async () => {
  const origin = 'http://localhost:3000'
  for (const path of ['/api/nothing', '/generate', '/api/show', '/backends/none/api/tags']) {
    const method = path === '/api/show' ? 'POST' : 'GET'
    const answer = await ask(herd.url + path, { method, headers: { origin } })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.headers['access-control-allow-origin'], path).toBe(origin)
  }
})

test('a fleet that has nothing lists nothing, in the form of each route', async () => {
  // Port 1 answers nobody.
  await using empty = await startProxy([{ name: 'nobody', url: 'http://127.0.0.1:1' }])
  expect((await ask(`${empty.url}/api/tags`)).text).toBe('{"models":[]}')
  expect((await ask(`${empty.url}/v1/models`)).text).toBe('{"object":"list","data":null}\n')
  expect((await ask(`${empty.url}/api/ps`)).text).toBe('{"models":[]}')
  expect((await ask(`${empty.url}/`)).text).toBe('Ollama is running')
  const version = JSON.parse((await ask(`${empty.url}/api/version`)).text)
  expect(version).toEqual({ version: '0.0.0' })
})

async function digestAt(url: string): Promise<string | undefined> {
  const { models } = JSON.parse((await ask(`${url}/api/tags`)).text) as {
    models: { name: string; digest: string }[]
  }
  return models.find(({ name }) => name === 'llama3.2:latest')?.digest
}
