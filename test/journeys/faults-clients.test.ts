import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Fault, startSimulator } from '../../backends/simulator/server.ts'
import { backendAt } from '../../src/core/backend.ts'
import { canonicalName } from '../../src/core/model-name.ts'
import { bestOf } from '../help/best-of.ts'
import { type Fleet, startFleet } from '../help/fleet.ts'
import { openCall, type WholeAnswer, wholeCall } from '../help/open-call.ts'
import { startProxyProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { type Talk, talkTo } from '../help/talk.ts'
import { until } from '../help/until.ts'
import { blind, chat, model, warmFleet } from '../help/warm-fleet.ts'

// Clients that are slow, and what clients are told and the log keeps of them: fault catalogue 36, 47, 89, 91.

describe('a thousand clients that never finish the head of a request', () => {
  const limitMs = 2_000
  /** How often each door looks for those whose time is up. */
  const lookMs = 1_000
  const head = `POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${'x'.repeat(500)}`

  it('are told 408 and closed at the limit, while everybody else is served', async () => {
    await using fleet = await warmFleet({
      simulators: [{}],
      config: `${blind}\nlimits: { head_timeout: ${limitMs}ms }`,
    })
    const latestMs = await bestOf(2, async () => {
      const startedMs = performance.now()
      const slow = await Promise.all(Array.from({ length: 1_000 }, () => slowClient(fleet)))
      // A half of them says nothing at all; of the other, each writes a byte from time to time.
      let sent = 0
      const trickle = setInterval(() => {
        for (const [index, { talk }] of slow.entries())
          if (index % 2 === 0 && !talk.closed) {
            if (sent === 0) slow[index]!.openMs = performance.now()
            talk.send(head[sent]!)
          }
        sent++
      }, 200)
      const served: number[] = []
      while (!slow.every(({ closedMs }) => closedMs > 0)) {
        const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
        served.push(answer.status)
        expect(performance.now() - startedMs).toBeLessThan(60_000)
      }
      clearInterval(trickle)
      expect(new Set(served)).toEqual(new Set([200]))
      for (const { talk } of slow) expect(talk.raw()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
      // Not before, either: who is only slow has until then.
      const open = slow.map((each) => each.closedMs - each.connectedMs)
      expect(Math.min(...open)).toBeGreaterThanOrEqual(limitMs - 50)
      return Math.max(...slow.map((each) => each.closedMs - each.openMs))
    })
    // A trickling one has its time from its first byte on.
    expect(latestMs).toBeLessThan(limitMs + lookMs + 1_500)
  }, 120_000)

  it('are closed also behind a request that was answered', async () => {
    await using fleet = await warmFleet({
      simulators: [{}],
      config: `${blind}\nlimits: { head_timeout: 500ms }`,
    })
    const body = JSON.stringify(chat('hello'))
    const talk = talkTo(fleet.app.port)
    talk.send(
      `POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await until(() => talk.heard().length === 1)
    talk.send('POST /api/chat HT')
    await until(() => talk.closed, 5_000)
    expect(talk.raw()).toContain('408 Request Timeout')
  })
})

interface Slow {
  readonly talk: Talk
  connectedMs: number
  /** Since when its time is counted: from its first byte on, once there is one. */
  openMs: number
  closedMs: number
}

function slowClient(fleet: Fleet): Promise<Slow> {
  const talk = talkTo(fleet.app.port)
  const slow: Slow = { talk, connectedMs: 0, openMs: 0, closedMs: 0 }
  talk.socket.once('close', () => {
    slow.closedMs = performance.now()
  })
  return new Promise((resolve) => {
    talk.socket.once('connect', () => {
      slow.connectedMs = performance.now()
      slow.openMs = slow.connectedMs
      resolve(slow)
    })
  })
}

// --- bytes ---

const words = [
  'S\u00fcn\u00f1u ',
  '\u{1f999} ',
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467} ',
  '\u5b89 \\u00e9 \\n',
]
const ndjson = (lines: readonly object[]) =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join('')
const streams = [
  {
    path: '/api/chat',
    type: 'application/x-ndjson',
    text:
      ndjson(
        words.map((content) => ({ model, message: { role: 'assistant', content }, done: false })),
      ) +
      ndjson([
        { model, message: { role: 'assistant', content: '' }, done: true, done_reason: 'stop' },
      ]),
  },
  {
    path: '/v1/chat/completions',
    type: 'text/event-stream',
    text: `${words
      .map(
        (content) =>
          `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`,
      )
      .join(
        '',
      )}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`,
  },
  {
    path: '/v1/messages',
    type: 'text/event-stream',
    text: `event: message_start\ndata: {"type":"message_start","message":{"content":[],"usage":{}}}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n${words
      .map(
        (text) =>
          `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })}\n\n`,
      )
      .join(
        '',
      )}event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n`,
  },
] as const

describe('a backend that cuts its answer inside characters and lines', () => {
  it.each(streams)(
    'has every byte of it arrive, on $path',
    async ({ path, type, text }) => {
      const bytes = Buffer.from(text)
      let [size, inChunks] = [1, true]
      await using fake = await startCutter(() => ({ bytes, type, size, inChunks }))
      await using fleet = await startFleet({
        simulators: [],
        config: `${blind}\ncontinuation: false`,
        settings: (settings) => ({ ...settings, backends: [backendAt('a', fake.url)] }),
      })
      await until(() => fleet.app.pool.endpoints.every(({ onDisk }) => onDisk.size > 0))
      for (const pieces of [1, 2, 3, 5, 7, 64])
        for (const framed of [true, false]) {
          size = pieces
          inChunks = framed
          const answer = await wholeCall(fleet.url + path, {
            body: chat('hello', { stream: true, max_tokens: 50 }),
          })
          expect([pieces, framed, answer.ended, answer.text]).toEqual([
            pieces,
            framed,
            'clean',
            text,
          ])
        }
    },
    60_000,
  )
})

/** A server that writes its answers in pieces of so many bytes, each on its own; in chunks of them, or in one. */
async function startCutter(
  next: () => { bytes: Buffer; type: string; size: number; inChunks: boolean },
) {
  const names = { name: 'llama3.2:latest', model: 'llama3.2:latest', digest: 'a'.repeat(64) }
  const looks: Readonly<Record<string, object>> = {
    '/api/version': { version: '0.33.0' },
    '/api/tags': { models: [{ ...names, capabilities: ['completion'] }] },
    '/api/ps': { models: [{ ...names, context_length: 4_096 }] },
  }
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.on('data', (request) => {
      const path = request.toString('latin1').split(' ')[1] ?? ''
      const look = looks[path]
      const head = 'HTTP/1.1 200 OK\r\nContent-Type: '
      if (look) {
        const text = JSON.stringify(look)
        socket.write(`${head}application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
      } else if (request.includes('messages')) void writeCut(socket, head, next())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function writeCut(
  socket: Socket,
  head: string,
  { bytes, type, size, inChunks }: { bytes: Buffer; type: string; size: number; inChunks: boolean },
): Promise<void> {
  const end = inChunks ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.length}`
  socket.write(`${head}${type}\r\n${end}\r\n\r\n`)
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size)
    if (inChunks) socket.write(`${piece.length.toString(16)}\r\n`)
    socket.write(piece)
    if (inChunks) socket.write('\r\n')
    await new Promise(setImmediate)
  }
  if (inChunks) socket.write('0\r\n\r\n')
}

// --- the log ---

describe('the log of a process with its levels as they are', () => {
  it('has nothing of what was asked or answered, however it went', async () => {
    const asked = 'canary-asked-51e8'
    const said = 'canary-said-77b0'
    const answerTokens = 60
    const settings = { models: [model, 'all-minilm'], answerTokens, slots: 4 }
    await using a = await startSimulator(settings)
    await using b = await startSimulator(settings)
    using folder = scratchFolder()
    const data = join(folder.path, 'data')
    await using proxy = await startProxyProcess(
      [`${a.url},name=a`, `${b.url},name=b`],
      ['--slots', '4'],
      {
        CHASQUI_LOG_FORMAT: 'json',
        CHASQUI_DATA: data,
        CHASQUI_LIMITS_BODY_IN_MEMORY_MAX: '4KiB',
        // Everything fails here on purpose; who rests has nothing to say.
        CHASQUI_BREAKER_FAILURES: '1000',
        CHASQUI_BREAKER_SHARE: '1',
        CHASQUI_BREAKER_WINDOW: '10000',
      },
    )
    await until(async () => (await fetch(`${proxy.url}/readyz`)).ok, 30_000)
    const post = (path: string, body: object | string, headers: Record<string, string> = {}) =>
      wholeCall(proxy.url + path, { body, headers })
    const texts: string[] = []
    const faults = (...given: Fault[]) => {
      for (const { faults: each } of [a, b]) each.replace(given)
    }

    // As it should be, in each language, streamed and whole, small and in a file.
    for (const stream of [true, false])
      for (const path of ['/api/chat', '/v1/chat/completions', '/v1/messages']) {
        const body = chat(asked, { stream, max_tokens: 100 })
        const { status, text } = await post(path, body)
        expect([path, status]).toEqual([path, 200])
        texts.push(text)
      }
    expect((await post('/api/chat', chat(`${asked} ${'long '.repeat(2_000)}`))).status).toBe(200)
    expect((await post('/api/embed', { model: 'all-minilm', input: [asked, 'b'] })).status).toBe(
      200,
    )
    const lines = Array.from({ length: 25 }, (_, index) => `${asked} line ${index}`).join('\n')
    const split = await post('/generate', { model, commands: lines, split: true })
    expect([split.status, split.text.includes('"parts":')]).toEqual([200, true])
    texts.push(split.text)

    // A stream goes on elsewhere, and one that may not ends in an error.
    for (const headers of [{}, { 'x-chasqui-continue': 'off' }]) {
      faults({ kind: 'reset-after-chunks', chunks: 10, count: 1 })
      a.faults.replace([{ kind: 'reset-after-chunks', chunks: 10 }])
      b.faults.replace([{ kind: 'reset-after-chunks', chunks: 10 }])
      const body = chat(`${asked} again`, { stream: true, options: { temperature: 0 } })
      const call = openCall(`${proxy.url}/api/chat`, { body, headers })
      await until(() => call.lines().length > 3)
      faults()
      await call.ended
      texts.push(call.text())
    }

    let passedOn = 0
    // Backends that refuse, crash, lie and break off, with words of their own that hold what was said.
    for (const fault of [
      { kind: 'status', status: 500, text: `could not render ${said}` },
      { kind: 'status', status: 400, text: `invalid prompt ${said}` },
      { kind: 'status', status: 500, text: `llama runner process has terminated: ${said}` },
      { kind: 'error-after-chunks', chunks: 2, text: `inside the stream: ${said}` },
      { kind: 'reset' },
      { kind: 'close-after-read' },
      { kind: 'crash-after-chunks', chunks: 3 },
      { kind: 'wrong-content-length' },
      { kind: 'load-failure', text: `unable to load ${said}` },
    ] as const)
      for (const stream of [true, false]) {
        faults(fault)
        const { text } = await post(
          '/api/chat',
          chat(`${asked} ${fault.kind} ${stream}`, { stream }),
        )
        if (text.includes(said)) passedOn++
      }
    expect(passedOn).toBeGreaterThan(2)
    faults({ kind: 'status', status: 500, text: said })
    expect((await post('/generate', { model, commands: lines, split: true })).status).toBe(502)
    faults()

    // Requests that are none.
    for (const path of ['/api/chat', '/v1/messages', '/generate']) {
      await post(path, `{"model": "${model}", "prompt": ${asked}`)
      await post(path, `{"model": "${model}", "${asked}": `, { 'content-encoding': 'zstd' })
      await post(path, { model: 'nobody', prompt: asked, [asked]: 1 })
      await post(path, chat(asked), { 'x-chasqui-split': `{"by": "${asked}` })
    }
    const left = openCall(`${proxy.url}/api/chat`, { body: chat(asked, { stream: true }) })
    await until(() => left.text() !== '')
    left.leave()

    const shown = await Promise.all(
      ['/queue-status', '/metrics', '/health', '/ui'].map(async (path) =>
        (await fetch(proxy.url + path)).text(),
      ),
    )
    proxy.kill('SIGTERM')
    expect(await proxy.exited()).toBe(0)
    const log = proxy.stderr()
    for (const outcome of ['"outcome":"ok"', '"outcome":"stream_broken"', '"code":"poison"'])
      expect(log).toContain(outcome)
    // What a simulator says, it makes up: a stretch of each answer stands for it.
    const answers = texts.flatMap((text) => saidIn(text))
    expect(answers.length).toBeGreaterThan(5)
    const kept = [log, proxy.stdout(), ...shown, textsUnder(data)].join('\n')
    const hits = [asked, said, ...answers].filter((canary) => kept.includes(canary))
    expect(hits).toEqual([])
  }, 120_000)
})

/** Stretches of what an answer says, long enough to be in no other text. */
function saidIn(text: string): string[] {
  const pieces = text.matchAll(/"(?:content|text|response)":"((?:[^"\\]|\\.)*)"/g)
  const said = [...pieces].map(([, words]) => words).join('')
  return said.length < 60 ? [] : [said.slice(0, 24), said.slice(30, 54)]
}

function textsUnder(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
}

// --- what a client is told ---

const families = ['/api/chat', '/v1/chat/completions', '/v1/messages', '/generate'] as const
let asks = 0
/** Never the same twice: what has killed two runners is refused for a while. */
const ask = (path: string, named: string | undefined, more: object = {}) => {
  const text = `hello ${asks++}`
  return path === '/generate'
    ? { model: named, prompt: text, ...more }
    : { ...chat(text, { max_tokens: 20, ...more }), model: named }
}

describe('an error that a client is told', () => {
  it('names no address, no host, no path of this machine and no line of its program', async () => {
    const told: { code: string; answer: WholeAnswer }[] = []
    const secretHost = '127.7.7.7'
    let dataDir = ''
    await using fleet = await startFleet({
      simulators: [
        { models: [model], slots: 1 },
        { models: [model, 'lonely'], slots: 1 },
      ],
      config: `
continuation: false
admin_token: the-token
probes: { interval: 500ms, timeout: 490ms, fall: 1, rise: 1 }
limits: { body_max: 64KiB, body_in_memory_max: 16KiB }
breaker: { failures: 1000 }
queue: { max: 1, timeout: 300ms }
timeouts: { first_byte: 500ms, connect: 300ms }
`,
      backend: (backend) => ({ ...backend, slots: 1 }),
      settings(settings) {
        dataDir = settings.dataDir
        return {
          ...settings,
          backends: [...settings.backends, backendAt('c', `http://${secretHost}:9`)],
        }
      },
    })
    const [a, b] = fleet.simulators
    const ready = (names: string) =>
      until(() => {
        const able = fleet.app.pool.endpoints.filter((each) => each.ready && each.onDisk.size > 0)
        return able.map(({ name }) => name).join('') === names
      })
    const all = (...faults: Fault[]) => {
      for (const each of fleet.simulators) each.faults.replace(faults)
    }
    const say = async (
      code: string,
      path: string,
      body: object | string,
      headers = {},
      method = 'POST',
    ) => {
      const answer = await wholeCall(fleet.url + path, { body, headers, method })
      told.push({ code, answer })
    }
    await ready('ab')
    for (const [index, { url }] of fleet.simulators.entries()) {
      await wholeCall(`${url}/api/generate`, { body: { model, keep_alive: -1 } })
      fleet.app.pool.endpoints[index]?.learnLoaded(canonicalName(model))
    }

    for (const path of families) {
      await say('body_not_json', path, '{"half')
      await say('body_empty', path, '')
      await say('body_too_large', path, ask(path, 'x'.repeat(70_000)))
      await say('body_unreadable', path, 'no zstd', { 'content-encoding': 'zstd' })
      await say('model_missing', path, ask(path, undefined))
      await say('model_unknown', path, ask(path, 'nobody-has-this'))
      await say('request_invalid', path, ask(path, model), { 'x-chasqui-priority': 'royal' })
      await say('origin_refused', path, ask(path, model), { origin: 'http://evil.example' })
      await say('host_refused', path, ask(path, model), { host: 'evil.example' })
      all({ kind: 'hang' })
      await say('upstream_timeout', path, ask(path, model))
      await say('total_timeout', path, ask(path, model), { 'x-chasqui-deadline': '100ms' })
      all({ kind: 'status', status: 500, text: 'no words of ours' })
      await say('upstream_failed', path, ask(path, model))
      all({ kind: 'wrong-content-length' })
      await say('poison', path, ask(path, model))
      all({ kind: 'reset' })
      await say('poison', path, ask(path, model))
      all({ kind: 'reset-after-chunks', chunks: 2 })
      await say('answer_cut', path, ask(path, model, { stream: true }))
      all({ kind: 'hang' })
      const holders = [1, 2].map(() =>
        openCall(`${fleet.url}/api/chat`, { body: ask('/api/chat', model) }),
      )
      await until(() => fleet.app.pool.endpoints.every((each) => !each.ready || each.inFlight > 0))
      const waits = openCall(fleet.url + path, { body: ask(path, model) })
      await until(() => fleet.app.queue.size === 1)
      await say('queue_full', path, ask(path, model))
      waits.leave()
      for (const holder of holders) holder.leave()
      all()
    }
    await say('request_invalid', '/generate', ask('/generate', model, { split: { by: 5 } }))
    await say('input_not_text', '/generate', { model, commands: 'a\0b', split: true })
    await say('admin_only', '/api/workers/a/drain', {}, { 'x-forwarded-for': '203.0.113.7' })
    await say('admin_only', '/api/delete', { model }, { 'x-forwarded-for': '203.0.113.7' })
    await say('not_found', '/api/workers/a/b/c', {})
    await say('backend_unknown', '/api/workers/nobody/drain', {})
    await say('backend_unknown', '/backends/nobody/api/tags', {})
    await say('method_not_allowed', '/generate', '', {}, 'PUT')
    await say('upstream_failed', '/backends/c/api/tags', '')
    await say('no such path', '/api/blobs/sha256:1', '')
    const via = b!.trace().flatMap(({ headers }) => headers.filter(([name]) => /^via$/i.test(name)))
    await say('loop', '/api/chat', ask('/api/chat', model), { via: via[0]![1] })

    b!.faults.add({ kind: 'refuse' })
    await ready('a')
    for (const path of families) await say('model_away', path, ask(path, 'lonely'))
    a!.faults.add({ kind: 'refuse' })
    await ready('')
    for (const path of families) await say('nobody is there', path, ask(path, model))
    for (const path of ['/api/delete', '/api/show', '/api/me'])
      await say('nobody is there', path, { model })
    await using empty = await startFleet({ simulators: [] })
    for (const path of families)
      told.push({
        code: 'no_backend',
        answer: await wholeCall(empty.url + path, { body: ask(path, model) }),
      })

    const ports = [...fleet.simulators.map(({ url }) => new URL(url).port), String(fleet.app.port)]
    const secrets = [secretHost, dataDir, process.cwd(), ...ports.map((port) => `:${port}`)]
    const leaks = [
      /\b\d{1,3}(\.\d{1,3}){3}\b/,
      /\.ts\b|node:|\bat \S+ \(/,
      /ECONN|ENOTFOUND|EAI_|UND_ERR/,
    ]
    const faults = told.flatMap(({ code, answer }) => {
      const { date: _date, ...headers } = answer.headers
      const all = `${answer.text}\n${JSON.stringify(headers)}`
      const found = [
        ...secrets.filter((secret) => all.includes(secret)),
        ...leaks.filter((leak) => leak.test(all)),
      ]
      return found.map((what) => `${code} (${answer.status}): ${String(what)} in ${all}`)
    })
    expect(faults).toEqual([])
    // What was meant to fail has failed, and where a code is said it is the one that was meant.
    const good = told.filter(({ answer }) => answer.status < 400 && !answer.text.includes('error'))
    expect(good.map(({ code }) => code)).toEqual([])
    const codes = new Set(
      told.flatMap(({ answer }) => /"code":"(\w+)"/.exec(answer.text)?.[1] ?? []),
    )
    expect([...codes].sort()).toEqual(
      expect.arrayContaining([
        ...['admin_only', 'answer_cut', 'backend_unknown', 'body_empty', 'body_not_json'],
        ...[
          'body_too_large',
          'host_refused',
          'input_not_text',
          'loop',
          'method_not_allowed',
          'model_away',
        ],
        ...[
          'model_missing',
          'model_unknown',
          'no_backend',
          'not_found',
          'origin_refused',
          'poison',
        ],
        ...[
          'queue_full',
          'request_invalid',
          'total_timeout',
          'upstream_failed',
          'upstream_timeout',
        ],
      ]),
    )
  }, 120_000)
})
