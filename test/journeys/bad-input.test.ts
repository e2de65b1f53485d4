import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FailureCode, failures } from '../../src/core/failure.ts'
import { type Fleet, startFleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'

type Family = 'ollama' | 'openai' | 'anthropic' | 'own'

const paths: readonly (readonly [path: string, family: Family])[] = [
  ['/api/generate', 'ollama'],
  ['/api/chat', 'ollama'],
  ['/v1/chat/completions', 'openai'],
  ['/v1/messages', 'anthropic'],
  ['/generate', 'own'],
]

const bodyBytesMax = 64 * 1024
const config = `
limits: {body_max: 64KiB, body_in_memory_max: 16KiB}
probes: {interval: 400ms, timeout: 390ms, fall: 3, rise: 1}
`

let fleet: Fleet
let dataDir = ''
beforeAll(async () => {
  fleet = await startFleet({
    // b alone has "lonely", and goes away in the test that needs it gone.
    simulators: [{ models: ['llama3.2'] }, { models: ['llama3.2', 'lonely'] }],
    config,
    settings: (settings) => {
      dataDir = settings.dataDir
      return settings
    },
  })
  // A machine with much to do may miss the first look.
  await until(() => fleet.app.pool.endpoints.every(({ ready }) => ready), 10_000)
})
afterAll(() => fleet[Symbol.asyncDispose]())

/** A whole request of that path's kind. */
function asked(path: string, model: string | undefined): string {
  const messages = [{ role: 'user', content: 'hello' }]
  if (path.endsWith('/generate')) return JSON.stringify({ model, prompt: 'hello', stream: false })
  return JSON.stringify({ model, messages, max_tokens: 20, stream: false })
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  readonly body: unknown
}

function open(path: string, headers: Readonly<Record<string, string>> = {}): ClientRequest {
  const asking = request(`${fleet.url}${path}`, { method: 'POST', agent: false, headers })
  // The proxy may well close while we still send: what counts is the answer.
  asking.on('error', () => {})
  return asking
}

async function answerTo(asking: ClientRequest): Promise<Answer> {
  const [incoming] = (await once(asking, 'response')) as [IncomingMessage]
  let text = ''
  incoming.setEncoding('utf8')
  for await (const chunk of incoming) text += chunk
  const { statusCode = 0, headers } = incoming
  return { status: statusCode, headers, text, body: parsed(text) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function post(
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const asking = open(path, headers)
  asking.end(body)
  return answerTo(asking)
}

/** The error's sentence, after its whole shape has been looked at. */
function sentenceIn(answer: Answer, family: Family, code?: FailureCode): string {
  const { headers, body, status } = answer
  expect(headers['x-request-id']).toMatch(/^[\w-]{36}$/)
  const message = expect.stringMatching(/\S.*\S/)
  switch (family) {
    case 'ollama':
      expect(headers['content-type']).toBe('application/json; charset=utf-8')
      expect(body).toEqual({ error: message })
      return (body as { error: string }).error
    case 'openai': {
      expect(headers['content-type']).toMatch(/^application\/json\b/)
      const known = code ?? expect.toBeOneOf([null, expect.any(String)])
      expect(body).toEqual({
        error: { message, type: expect.stringMatching(/_error$/), param: null, code: known },
      })
      return (body as { error: { message: string } }).error.message
    }
    case 'anthropic':
      expect(headers['content-type']).toMatch(/^application\/json\b/)
      expect(body).toEqual({
        type: 'error',
        error: { type: expect.stringMatching(/_error$/), message },
        request_id: expect.stringMatching(/^req_/),
      })
      return (body as { error: { message: string } }).error.message
    case 'own':
      expect(headers['content-type']).toBe('application/problem+json')
      expect(Object.keys(failures)).toContain((body as { code: string }).code)
      expect(body).toEqual({
        type: `urn:chasqui:problem:${(body as { code: string }).code}`,
        title: expect.any(String),
        status,
        detail: message,
        code: code ?? expect.any(String),
        fix: failures[(body as { code: FailureCode }).code].fix,
        instance: headers['x-request-id'],
      })
      return (body as { detail: string }).detail
  }
}

/** Nothing of a refused request is left, none of it reached a backend, and the next good one is served. */
async function expectNothingLost(path: string, sentBefore: number): Promise<void> {
  expect(inferencesSoFar()).toBe(sentBefore)
  await until(() => heldFiles().length === 0)
  const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
  const held = [...metrics.matchAll(/^chasqui_\w*held\w*\{[^}]*\} (\S+)$/gm)].map(([, n]) => n)
  expect(held).toEqual(['0', '0'])
  expect((await post(path, asked(path, 'llama3.2'))).status).toBe(200)
  expect(inferencesSoFar()).toBeGreaterThan(sentBefore)
}

const isInference = ({ route }: { route: string }) => /generate|chat|messages/.test(route)

const inferencesSoFar = () =>
  fleet.simulators.flatMap((each) => each.trace()).filter(isInference).length

function heldFiles(): string[] {
  try {
    return readdirSync(join(dataDir, 'spool', String(process.pid)))
  } catch {
    return []
  }
}

describe.each(paths)('bad input at %s', (path, family) => {
  it('is answered with 400 when the body is no JSON, half of it, no object, or empty', async () => {
    const before = inferencesSoFar()
    for (const body of ['hello', '{"model": "llama3.2", "pro', '[1, 2]', '']) {
      const answer = await post(path, body)
      expect([body, answer.status]).toEqual([body, 400])
      sentenceIn(answer, family)
    }
    await expectNothingLost(path, before)
  })

  it('is answered with 413 before a body that says its length is taken', async () => {
    const before = inferencesSoFar()
    const asking = open(path, { 'content-length': String(10 * bodyBytesMax) })
    asking.flushHeaders()
    const answer = await answerTo(asking)
    expect(answer.status).toBe(413)
    expect(sentenceIn(answer, family, 'body_too_large')).toContain('limits.body_max')
    expect(answer.headers.connection).toBe('close')
    await expectNothingLost(path, before)
  })

  it('is answered with 413 and no 100 when the client asks before it sends', async () => {
    const asking = open(path, {
      'content-length': String(10 * bodyBytesMax),
      expect: '100-continue',
    })
    let continued = false
    asking.on('continue', () => (continued = true))
    asking.flushHeaders()
    const answer = await answerTo(asking)
    asking.destroy()
    expect([answer.status, continued]).toEqual([413, false])
  })

  it('is answered with 413 while a body without a length grows', async () => {
    const before = inferencesSoFar()
    const asking = open(path)
    const answered = answerTo(asking)
    asking.write('{"model": "llama3.2", "prompt": "')
    let sent = 0
    let over = false
    const stop = () => (over = true)
    void answered.then(stop, stop)
    while (!over && sent < 100 * bodyBytesMax) {
      // As a client does: on when what was written is taken. The proxy reads nothing until the file for a large body is
      // open, and on a busy machine that takes longer than to write all of this without a look at whether it is taken.
      const goesOn = asking.write('x'.repeat(1024))
      sent += 1024
      await (goesOn
        ? new Promise(setImmediate)
        : Promise.race([once(asking, 'drain'), answered]).catch(() => {}))
    }
    const answer = await answered
    asking.destroy()
    expect(answer.status).toBe(413)
    sentenceIn(answer, family, 'body_too_large')
    expect(sent).toBeLessThan(100 * bodyBytesMax)
    await expectNothingLost(path, before)
  })

  it('is answered with 400 when no model is named, 404 when nobody has it', async () => {
    const before = inferencesSoFar()
    for (const model of [undefined, '']) {
      const missing = await post(path, asked(path, model))
      // Ollama takes no name for an unknown one there.
      expect(missing.status).toBe(path === '/api/generate' ? 404 : 400)
      expect(sentenceIn(missing, family)).toMatch(/model|required/)
    }
    const unknown = await post(path, asked(path, 'nobody-has-this'))
    expect(unknown.status).toBe(404)
    expect(sentenceIn(unknown, family, 'model_unknown')).toContain('nobody-has-this')
    await expectNothingLost(path, before)
  })

  it('is answered with 400 when a wish in a header is not understood', async () => {
    const before = inferencesSoFar()
    for (const [name, value] of [
      ['X-Chasqui-Priority', 'urgent'],
      ['X-Chasqui-Deadline', 'soon'],
      ['X-Chasqui-Deadline', '-5s'],
      ['X-Chasqui-Deadline', '0'],
      ['X-Chasqui-Deadline', ''],
      ['X-Chasqui-Session', 'caf\u00e9'],
      ['X-Chasqui-Session', 'x'.repeat(257)],
    ] as const) {
      const answer = await post(path, asked(path, 'llama3.2'), { [name]: value })
      expect([name, value, answer.status]).toEqual([name, value, 400])
      expect(sentenceIn(answer, family, 'request_invalid')).toContain(name)
    }
    await expectNothingLost(path, before)
    const { status } = await post(path, asked(path, 'llama3.2'), {
      'X-Chasqui-Priority': 'batch',
      'X-Chasqui-Deadline': '30s',
    })
    expect(status).toBe(200)
    expect(fleet.ended.at(-1)).toMatchObject({ priority: 'batch', ending: 'ok' })
  })
})

describe('a model of a backend that is down', () => {
  it('is answered with 503 and Retry-After, and is served again when it is back', async () => {
    const [, b] = fleet.simulators
    b!.faults.add({ kind: 'refuse' })
    await until(() => fleet.app.pool.endpoint('b')?.health.state === 'away')
    for (const [path, family] of paths) {
      const answer = await post(path, asked(path, 'lonely'))
      expect([path, answer.status]).toEqual([path, 503])
      expect(sentenceIn(answer, family, 'model_away')).toMatch(/lonely.* b\b/)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    }
    b!.faults.clear()
    await until(() => fleet.app.pool.endpoint('b')?.health.state === 'ready')
    for (const [path] of paths)
      expect([path, (await post(path, asked(path, 'lonely'))).status]).toEqual([path, 200])
  })
})

describe('POST /generate', () => {
  const faults: readonly (readonly [name: string, body: object, said: readonly string[]])[] = [
    ['none of the three inputs', {}, ['"prompt", "commands" and "input"']],
    ['two inputs', { prompt: 'a', commands: 'b' }, ['"prompt" and "commands"']],
    ['all three inputs', { prompt: 'a', commands: 'b', input: 'c' }, ['"input"']],
    ['an empty input', { commands: '' }, ['"commands" is empty']],
    ['an empty array', { input: [] }, ['"input" is empty']],
    ['a number as prompt', { prompt: 5 }, ['"prompt" must be text']],
    ['a number as model', { model: 5, prompt: 'a' }, ['"model" must be text']],
    ['no model name', { model: 'two words', prompt: 'a' }, ['"model" must be a model name']],
    ['an object as input', { input: { a: 1 } }, ['"input" must be text or an array']],
    ['a misspelt key', { promt: 'a' }, ['"promt"', 'did you mean "prompt"?']],
    ['an unknown key', { prompt: 'a', zebra: 1 }, ['"zebra" is no key']],
    ['__proto__', JSON.parse('{"prompt": "a", "__proto__": {}}'), ['"__proto__" is no key']],
    ['an unknown priority', { prompt: 'a', priority: 'high' }, ['"priority"', '"interactive"']],
    ['a timeout without sense', { prompt: 'a', timeout: 'soon' }, ['"timeout"', '"600s"']],
    ['an infinite timeout', { prompt: 'a', timeout: '-1s' }, ['"timeout"', '"600s"']],
    [
      'all at once',
      { streem: true, stream: 'yes', options: [], think: 5, keep_alive: {}, format: 5 },
      ['"streem"', '"stream"', '"options"', '"think"', '"keep_alive"', '"format"', '"prompt"'],
    ],
  ]
  it.each(faults)('refuses %s and says what to mend', async (_name, body, said) => {
    const before = inferencesSoFar()
    const answer = await post('/generate', JSON.stringify({ model: 'llama3.2', ...body }))
    expect(answer.status).toBe(400)
    const sentence = sentenceIn(answer, 'own', 'request_invalid')
    for (const words of said) expect(sentence).toContain(words)
    expect(sentence).not.toContain('Invalid input')
    expect(inferencesSoFar()).toBe(before)
  })

  it('has a code of its own for a model that is not named', async () => {
    for (const body of ['{}', '{"prompt": "a"}', '{"model": " ", "prompt": "a"}'])
      sentenceIn(await post('/generate', body), 'own', 'model_missing')
  })

  it('takes null for a key that was left out', async () => {
    const body = { model: 'llama3.2', prompt: 'hello', commands: null, system: null, timeout: null }
    expect((await post('/generate', JSON.stringify(body))).status).toBe(200)
  })

  it('names the method that it wants', async () => {
    const answer = await fetch(`${fleet.url}/generate`)
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await answer.json()).toMatchObject({ code: 'method_not_allowed' })
  })

  it('ends at the earlier of its own timeout and the deadline of the header', async () => {
    const slow = { model: 'llama3.2', prompt: 'hello', options: { num_predict: 100_000 } }
    fleet.simulators.map((each) => each.faults.add({ kind: 'hang' }))
    try {
      for (const [timeout, deadline] of [
        ['100ms', '60s'],
        ['60s', '100ms'],
      ] as const) {
        const body = JSON.stringify({ ...slow, timeout })
        const answer = await post('/generate', body, { 'X-Chasqui-Deadline': deadline })
        expect(answer.status).toBe(504)
        sentenceIn(answer, 'own', 'total_timeout')
      }
    } finally {
      fleet.simulators.map((each) => each.faults.clear())
    }
  })
})

describe('our own paths', () => {
  it('refuse a body that is none, and one of no known type, with 400', async () => {
    for (const [type, body] of [
      ['application/json', '{"half'],
      ['text/nonsense', 'x'],
    ] as const) {
      const answer = await post('/api/workers/a/drain', body, { 'content-type': type })
      expect(answer.status).toBe(400)
      sentenceIn(answer, 'own', 'request_invalid')
    }
    expect(fleet.app.pool.endpoint('a')?.enabled).toBe(true)
  })

  it('say why a foreign page or name is refused, where Ollama says nothing', async () => {
    for (const [path, body] of [
      ['/generate', asked('/generate', 'llama3.2')],
      ['/api/workers/a/drain', ''],
    ] as const)
      for (const [headers, code] of [
        [{ origin: 'https://evil.example' }, 'origin_refused'],
        [{ host: 'evil.example' }, 'host_refused'],
      ] as const) {
        const answer = await post(path, body, headers)
        expect(answer.status).toBe(403)
        sentenceIn(answer, 'own', code)
      }
    const compatible = await post('/api/chat', asked('/api/chat', 'llama3.2'), {
      origin: 'https://evil.example',
    })
    expect([compatible.status, compatible.text]).toEqual([403, ''])
  })

  it('answer problem documents for what is not there', async () => {
    for (const [method, path, status, code] of [
      ['POST', '/api/workers/nobody/drain', 404, 'backend_unknown'],
      ['GET', '/backends/nobody/api/tags', 404, 'backend_unknown'],
      ['GET', '/api/workers/a/b/c', 404, 'not_found'],
      ['POST', '/api/workers/%zz/drain', 400, 'request_invalid'],
      ['GET', '/backends/%zz/api/tags', 400, 'request_invalid'],
    ] as const) {
      const answer = await fetch(`${fleet.url}${path}`, { method })
      expect([path, answer.status]).toEqual([path, status])
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(await answer.json()).toMatchObject({
        code,
        status,
        fix: failures[code].fix,
        instance: answer.headers.get('x-request-id'),
      })
    }
  })
})
