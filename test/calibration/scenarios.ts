/**
 * One list of scripted requests, run against a real Ollama and against the simulator alike. Each step yields a record of
 * what came back, reduced to what ought to agree: see observe.ts.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { tinyGguf } from './gguf.ts'
import { type Answer, type Ask, Dropped, type Observation, observe, send } from './observe.ts'

export interface Target {
  port: number
  /** Ends the engine process behind the loaded model; false when there is none to end. */
  killEngine: () => Promise<boolean>
}

type StepRecord = Observation | { [key: string]: unknown }

export interface Step {
  id: string
  /** Needs an engine that says what it is told to: not the noise of a real one with random weights. */
  scripted?: boolean
  run: (target: Target) => Promise<StepRecord>
}

export interface Phase {
  name: string
  /** What the server is started with. */
  settings: PhaseSettings
  steps: Step[]
}

export interface PhaseSettings {
  maxLoaded: number
  maxQueue: number
  parallel: number
  /** Least time a load takes, where the engine lets us choose. */
  loadMs: number
  /** Answers go on for tens of seconds, for the steps that interrupt them. */
  longAnswers: boolean
}

/** The models that both servers have when the steps begin. */
export interface SeedModel {
  name: string
  seed: number
  embedding?: boolean
  template?: string
  chatTemplate?: string
  capabilities: string[]
}

const PLAIN =
  '{{ if .System }}<|system|>{{ .System }}<|end|>{{ end }}{{ if .Prompt }}<|user|>{{ .Prompt }}<|end|>{{ end }}<|assistant|>{{ .Response }}'

const MULTI = `{{- if .Suffix }}<|prefix|>{{ .Prompt }}<|suffix|>{{ .Suffix }}<|middle|>{{ else }}
{{- if .Tools }}<|tools|>{{ .Tools }}<|end|>{{ end }}
{{- range .Messages }}
{{- if eq .Role "assistant" }}<|assistant|>{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}
{{- if .ToolCalls }}{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}{{ end }}{{ end }}<|end|>
{{- else }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}
{{- end }}<|assistant|>{{ end }}`

/** The comment keeps it from being taken for one of the templates that Ollama knows. */
const JINJA =
  "{# A template made for calibration, unlike any that is known: its marks are its own, and so is this remark about them. #}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}<|assistant|>"

/** Mentions tools and thoughts, which is how Ollama finds out that a model can do these. */
const NATIVE = `${JINJA}{# tools tool_calls <think></think> #}`

export const SEED_MODELS: readonly SeedModel[] = [
  { name: 'alpha', seed: 1, template: PLAIN, capabilities: ['completion'] },
  { name: 'beta', seed: 2, template: PLAIN, capabilities: ['completion'] },
  {
    name: 'multi',
    seed: 3,
    template: MULTI,
    capabilities: ['completion', 'tools', 'insert', 'thinking'],
  },
  { name: 'jinja', seed: 4, chatTemplate: JINJA, capabilities: ['completion'] },
  {
    name: 'native',
    seed: 6,
    chatTemplate: NATIVE,
    capabilities: ['completion', 'tools', 'thinking'],
  },
  { name: 'loops', seed: 7, template: PLAIN, capabilities: ['completion'] },
  { name: 'embed', seed: 5, embedding: true, capabilities: ['embedding'] },
]

export const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

const FEW = { num_predict: 6, seed: 1 }
const LONG = { num_predict: 30_000, seed: 1 }
const HELLO = [{ role: 'user', content: 'hello' }]
const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'the weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}

function ask(
  id: string,
  method: string,
  path: string,
  body?: unknown,
  more: Partial<Ask> = {},
): Step {
  return {
    id,
    run: async (target) =>
      observe(
        await send(target.port, { method, path, ...(body === undefined ? {} : { body }), ...more }),
      ),
  }
}

const get = (id: string, path: string, more: Partial<Ask> = {}): Step =>
  ask(id, 'GET', path, undefined, more)
const head = (id: string, path: string): Step => ask(id, 'HEAD', path)
const post = (id: string, path: string, body?: unknown, more: Partial<Ask> = {}): Step =>
  ask(id, 'POST', path, body, more)
const obeyed = (step: Step): Step => ({ ...step, scripted: true })
const named = (id: string, run: Step['run']): Step => ({ id, run })

async function json(
  target: Target,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await send(target.port, { method, path, ...(body === undefined ? {} : { body }) })
  try {
    return JSON.parse(answer.text)
  } catch {
    return undefined
  }
}

interface Row {
  name: string
  expires_at: string
}

async function loaded(target: Target): Promise<string[]> {
  const answer = (await json(target, 'GET', '/api/ps')) as { models: Row[] }
  return answer.models.map((row) => row.name).sort()
}

async function unloadAll(target: Target): Promise<void> {
  for (const model of await loaded(target)) {
    await json(target, 'POST', '/api/generate', { model, keep_alive: 0 })
  }
  await until(async () => (await loaded(target)).length === 0)
}

async function until(test: () => Promise<boolean>, ms = 8000): Promise<boolean> {
  const end = Date.now() + ms
  while (Date.now() < end) {
    if (await test()) return true
    await sleep(30)
  }
  return false
}

const load = (target: Target, model: string): Promise<unknown> =>
  json(target, 'POST', '/api/generate', { model })

/** Sends a request, does something when some frames of the body are there, and records how the answer ended. */
async function during(target: Target, request: Ask, act: () => Promise<unknown>): Promise<Answer> {
  let acted = false
  let done: Promise<unknown> = Promise.resolve()
  const answer = await send(target.port, {
    ...request,
    onPiece: (text) => {
      if (acted || text.split('\n').length < 16) return
      acted = true
      done = act()
    },
  })
  await done
  return answer
}

/** Sends a request and drops it: after the first piece, or after so many milliseconds. */
async function drop(target: Target, request: Ask, afterMs?: number): Promise<string> {
  try {
    const answer = await send(target.port, {
      ...request,
      ...(afterMs === undefined
        ? { onPiece: (_text: string, abort: () => void) => abort() }
        : { abortAfterMs: afterMs }),
    })
    return answer.broken ?? `answered ${answer.status}`
  } catch (error) {
    if (error instanceof Dropped) return 'dropped by us'
    throw error
  }
}

const routes: Step[] = [
  get('root', '/'),
  head('root.head', '/'),
  post('root.post', '/'),
  get('version', '/api/version'),
  head('version.head', '/api/version'),
  post('version.post', '/api/version'),
  get('status', '/api/status'),
  get('tags', '/api/tags'),
  head('tags.head', '/api/tags'),
  ask('tags.delete', 'DELETE', '/api/tags'),
  get('ps.empty', '/api/ps'),
  head('ps.head', '/api/ps'),
  get('unknown', '/nope'),
  get('unknown.api', '/api/nope'),
  post('unknown.v1', '/v1/nope', {}),
  get('generate.get', '/api/generate'),
  get('chat.get', '/v1/chat/completions'),
  head('models.head', '/v1/models'),
  get('delete.get', '/api/delete'),
  get('slash.get', '/api/tags/'),
  post('slash.post', '/api/generate/', { model: 'alpha' }),
  get('slashes', '//api//tags'),
  post('count_tokens', '/v1/messages/count_tokens', { model: 'alpha', messages: HELLO }),
  get('health', '/health'),
  get('metrics', '/metrics'),
  get('origin.evil', '/api/tags', { headers: { origin: 'http://evil.example' } }),
  {
    id: 'origin.same',
    run: async (target) =>
      observe(
        await send(target.port, {
          method: 'GET',
          path: '/api/version',
          headers: { origin: `http://127.0.0.1:${target.port}` },
        }),
      ),
  },
  get('origin.localhost', '/api/version', { headers: { origin: 'http://localhost:3000' } }),
  ask('preflight', 'OPTIONS', '/api/chat', undefined, {
    headers: {
      origin: 'http://localhost:3000',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    },
  }),
  ask('preflight.evil', 'OPTIONS', '/api/chat', undefined, {
    headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
  }),
  ask('options', 'OPTIONS', '/api/chat'),
  get('host.evil', '/api/version', { headers: { host: 'evil.example' } }),
  get('host.internal', '/api/version', { headers: { host: 'box.internal:1234' } }),
  get('host.private', '/api/version', { headers: { host: '192.168.1.9' } }),
  get('host.public', '/api/version', { headers: { host: '8.8.8.8' } }),
]

const show: Step[] = [
  post('show', '/api/show', { model: 'alpha' }),
  post('show.multi', '/api/show', { model: 'multi' }),
  post('show.embed', '/api/show', { model: 'embed' }),
  post('show.legacy', '/api/show', { name: 'alpha:latest' }),
  post('show.verbose', '/api/show', { model: 'alpha', verbose: true }),
  post('show.none', '/api/show'),
  post('show.nameless', '/api/show', {}),
  post('show.missing', '/api/show', { model: 'Nothing' }),
  post('show.invalid', '/api/show', { model: 'a b/c' }),
]

const generate: Step[] = [
  post('generate.none', '/api/generate'),
  post('generate.garbage', '/api/generate', '{nope'),
  post('generate.truncated', '/api/generate', '{"model":"alpha"'),
  post('generate.array', '/api/generate', '[]'),
  post('generate.badtype', '/api/generate', { model: 7 }),
  post('generate.badprompt', '/api/generate', { model: 'alpha', prompt: 7 }),
  post('generate.nameless', '/api/generate', { prompt: 'hi' }),
  post('generate.missing', '/api/generate', { model: 'Nothing', prompt: 'hi' }),
  post('generate.invalid', '/api/generate', { model: 'a b/c', prompt: 'hi' }),
  post('generate.both', '/api/generate', { model: 'alpha:local:cloud', prompt: 'hi' }),
  post('generate.load', '/api/generate', { model: 'alpha' }),
  post('generate.stream', '/api/generate', { model: 'alpha', prompt: 'hi', options: FEW }),
  post('generate.whole', '/api/generate', {
    model: 'alpha',
    prompt: 'hi',
    stream: false,
    options: FEW,
  }),
  post(
    'generate.form',
    '/api/generate',
    '{"model":"alpha","prompt":"hi","options":{"num_predict":3}}',
    {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
  ),
  post('generate.trailing', '/api/generate', '{"model":"alpha"} and more'),
  post('generate.raw', '/api/generate', { model: 'alpha', prompt: 'hi', raw: true, options: FEW }),
  post('generate.context', '/api/generate', {
    model: 'alpha',
    prompt: 'hi',
    context: [1, 2, 3],
    stream: false,
    options: FEW,
  }),
  post('generate.longname', '/api/generate', {
    model: 'registry.ollama.ai/library/ALPHA:latest',
    prompt: 'hi',
    stream: false,
    options: FEW,
  }),
  post('generate.logprobs', '/api/generate', {
    model: 'alpha',
    prompt: 'hi',
    logprobs: true,
    top_logprobs: 2,
    options: FEW,
  }),
  post('generate.toplogprobs', '/api/generate', { model: 'alpha', prompt: 'hi', top_logprobs: 21 }),
  post('generate.rawsystem', '/api/generate', {
    model: 'alpha',
    prompt: 'x',
    raw: true,
    system: 'y',
  }),
  post('generate.badoption', '/api/generate', {
    model: 'alpha',
    prompt: 'hi',
    options: { num_ctx: 'big' },
  }),
  post('generate.unknownoption', '/api/generate', {
    model: 'alpha',
    prompt: 'hi',
    stream: false,
    options: { ...FEW, wonder: 1 },
  }),
  post('generate.keepalive.text', '/api/generate', { model: 'alpha', keep_alive: '300' }),
  post('generate.keepalive.bool', '/api/generate', { model: 'alpha', keep_alive: true }),
  post('generate.suffix', '/api/generate', {
    model: 'alpha',
    prompt: 'a',
    suffix: 'b',
    options: FEW,
  }),
  post('generate.suffix.multi', '/api/generate', {
    model: 'multi',
    think: false,
    prompt: 'a',
    suffix: 'b',
    stream: false,
    options: FEW,
  }),
  post('generate.think', '/api/generate', { model: 'alpha', prompt: 'a', think: true }),
  post('generate.think.bad', '/api/generate', { model: 'alpha', prompt: 'a', think: 'wildly' }),
  post('generate.toolong.noshift', '/api/generate', {
    model: 'alpha',
    prompt: 'word '.repeat(3000),
    shift: false,
    stream: false,
    options: { ...FEW, num_ctx: 512 },
  }),
  post('generate.toolong.noshift.stream', '/api/generate', {
    model: 'alpha',
    prompt: 'word '.repeat(3000),
    shift: false,
    options: { ...FEW, num_ctx: 512 },
  }),
  post('generate.toolong', '/api/generate', {
    model: 'alpha',
    prompt: 'word '.repeat(3000),
    stream: false,
    options: { ...FEW, num_ctx: 512 },
  }),
  post('generate.toolong.notruncate', '/api/generate', {
    model: 'alpha',
    prompt: 'word '.repeat(3000),
    truncate: false,
    stream: false,
    options: { ...FEW, num_ctx: 512 },
  }),
  obeyed(
    post('generate.stop', '/api/generate', {
      model: 'alpha',
      prompt: 'say something',
      stream: false,
      options: { ...FEW, num_predict: 60, stop: [' '] },
    }),
  ),
  post('generate.format', '/api/generate', {
    model: 'alpha',
    prompt: 'a',
    format: 'json',
    stream: false,
    options: { num_predict: 60, seed: 1 },
  }),
  post('generate.badformat', '/api/generate', { model: 'alpha', prompt: 'a', format: 'xml' }),
  post('generate.render', '/api/generate', {
    model: 'alpha',
    prompt: 'a',
    _debug_render_only: true,
  }),
  post('generate.template', '/api/generate', {
    model: 'alpha',
    prompt: 'a',
    template: '{{ .Prompt }} {{ nope',
  }),
  post('generate.embed', '/api/generate', { model: 'embed', prompt: 'a' }),
  post('generate.cloud', '/api/generate', { model: 'gpt-oss:120b-cloud', prompt: 'a' }),
  get('ps.loaded', '/api/ps'),
  post('generate.forever', '/api/generate', { model: 'alpha', keep_alive: -1 }),
  get('ps.forever', '/api/ps'),
  post('generate.unload', '/api/generate', { model: 'alpha', keep_alive: 0 }),
  post('generate.unload.again', '/api/generate', { model: 'alpha', keep_alive: 0 }),
  post('generate.unload.missing', '/api/generate', { model: 'Nothing', keep_alive: 0 }),
]

const chat: Step[] = [
  post('chat.none', '/api/chat'),
  post('chat.nameless', '/api/chat', { messages: HELLO }),
  post('chat.missing', '/api/chat', { model: 'Nothing', messages: HELLO }),
  post('chat.load', '/api/chat', { model: 'alpha', messages: [] }),
  post('chat.stream', '/api/chat', { model: 'alpha', messages: HELLO, options: FEW }),
  post('chat.whole', '/api/chat', { model: 'alpha', messages: HELLO, stream: false, options: FEW }),
  post('chat.jinja', '/api/chat', { model: 'jinja', messages: HELLO, options: FEW }),
  post('chat.logprobs', '/api/chat', {
    model: 'alpha',
    messages: HELLO,
    logprobs: true,
    stream: false,
    options: FEW,
  }),
  post('chat.tools.unable', '/api/chat', { model: 'alpha', messages: HELLO, tools: [WEATHER] }),
  post('chat.think.unable', '/api/chat', { model: 'alpha', messages: HELLO, think: true }),
  post('chat.think.level', '/api/chat', { model: 'alpha', messages: HELLO, think: 'high' }),
  post('chat.embed', '/api/chat', { model: 'embed', messages: HELLO }),
  post('chat.multi', '/api/chat', {
    model: 'multi',
    messages: HELLO,
    think: false,
    options: FEW,
  }),
  post('chat.badrole', '/api/chat', { model: 'alpha', messages: [{ role: 7, content: 'x' }] }),
  post('chat.badcontent', '/api/chat', {
    model: 'alpha',
    messages: [{ role: 'user', content: [] }],
  }),
  post('chat.prefill', '/api/chat', {
    model: 'alpha',
    messages: [...HELLO, { role: 'assistant', content: 'Well,' }],
    stream: false,
    options: FEW,
  }),
  post('chat.render', '/api/chat', { model: 'alpha', messages: HELLO, _debug_render_only: true }),
  named('chat.render.prefill', async (target) => {
    const texts: Record<string, unknown> = {}
    for (const model of ['alpha', 'multi', 'jinja']) {
      const answer = (await json(target, 'POST', '/api/chat', {
        model,
        messages: [...HELLO, { role: 'assistant', content: 'Well,' }],
        _debug_render_only: true,
      })) as { _debug_info?: { rendered_template: string } }
      texts[model] = answer._debug_info?.rendered_template
    }
    return texts
  }),
  post('chat.cloud', '/api/chat', { model: 'gpt-oss:120b-cloud', messages: HELLO }),
  post('chat.unload', '/api/chat', { model: 'alpha', messages: [], keep_alive: 0 }),
]

const embedding: Step[] = [
  post('embed.one', '/api/embed', { model: 'embed', input: 'hello' }),
  post('embed.many', '/api/embed', { model: 'embed', input: ['hello', 'world'] }),
  post('embed.dimensions', '/api/embed', { model: 'embed', input: 'hello', dimensions: 8 }),
  post('embed.empty', '/api/embed', { model: 'embed', input: '' }),
  post('embed.absent', '/api/embed', { model: 'embed' }),
  post('embed.number', '/api/embed', { model: 'embed', input: 7 }),
  post('embed.mixed', '/api/embed', { model: 'embed', input: ['a', 7] }),
  post('embed.nameless', '/api/embed', { input: 'x' }),
  post('embed.missing', '/api/embed', { model: 'Nothing', input: 'x' }),
  post('embed.none', '/api/embed'),
  post('embed.toolong', '/api/embed', {
    model: 'embed',
    input: 'word '.repeat(3000),
    truncate: false,
    options: { num_ctx: 512 },
  }),
  post('embeddings', '/api/embeddings', { model: 'embed', prompt: 'hello' }),
  post('embeddings.empty', '/api/embeddings', { model: 'embed', prompt: '' }),
  post('embeddings.missing', '/api/embeddings', { model: 'Nothing', prompt: 'x' }),
  get('ps.embed', '/api/ps'),
]

const openai: Step[] = [
  post('v1.chat.none', '/v1/chat/completions'),
  post('v1.chat.garbage', '/v1/chat/completions', '{nope'),
  post('v1.chat.nomessages', '/v1/chat/completions', { model: 'alpha', messages: [] }),
  post('v1.chat.nameless', '/v1/chat/completions', { messages: HELLO }),
  post('v1.chat.missing', '/v1/chat/completions', { model: 'Nothing', messages: HELLO }),
  post('v1.chat', '/v1/chat/completions', { model: 'alpha', messages: HELLO, max_tokens: 6 }),
  post('v1.chat.stream', '/v1/chat/completions', {
    model: 'alpha',
    messages: HELLO,
    max_tokens: 6,
    stream: true,
  }),
  post('v1.chat.usage', '/v1/chat/completions', {
    model: 'alpha',
    messages: HELLO,
    max_tokens: 6,
    stream: true,
    stream_options: { include_usage: true },
  }),
  obeyed(
    post('v1.chat.stop', '/v1/chat/completions', {
      model: 'alpha',
      messages: HELLO,
      max_tokens: 60,
      stop: ' ',
    }),
  ),
  post('v1.chat.parts', '/v1/chat/completions', {
    model: 'alpha',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
    max_tokens: 3,
  }),
  post('v1.chat.image', '/v1/chat/completions', {
    model: 'alpha',
    messages: [
      {
        role: 'user',
        content: [{ type: 'image_url', image_url: { url: 'http://127.0.0.1:1/x.png' } }],
      },
    ],
  }),
  post('v1.chat.tools.unable', '/v1/chat/completions', {
    model: 'alpha',
    messages: HELLO,
    tools: [WEATHER],
  }),
  post('v1.chat.logprobs', '/v1/chat/completions', {
    model: 'alpha',
    messages: HELLO,
    max_tokens: 3,
    logprobs: true,
    top_logprobs: 1,
  }),
  post('v1.chat.effort', '/v1/chat/completions', {
    model: 'multi',
    messages: HELLO,
    max_tokens: 3,
    reasoning_effort: 'absurd',
  }),
  post('v1.chat.embed', '/v1/chat/completions', { model: 'embed', messages: HELLO }),
  post(
    'v1.chat.zstd',
    '/v1/chat/completions',
    zstdCompressSync(JSON.stringify({ model: 'alpha', messages: HELLO, max_tokens: 3 })),
    { headers: { 'content-encoding': 'zstd', 'content-type': 'application/json' } },
  ),
  post(
    'v1.chat.gzip',
    '/v1/chat/completions',
    gzipSync(JSON.stringify({ model: 'alpha', messages: HELLO, max_tokens: 3 })),
    { headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' } },
  ),
  post('v1.chat.cloud', '/v1/chat/completions', { model: 'gpt-oss:120b-cloud', messages: HELLO }),
  post('v1.completions', '/v1/completions', { model: 'alpha', prompt: 'hi', max_tokens: 6 }),
  post('v1.completions.stream', '/v1/completions', {
    model: 'alpha',
    prompt: 'hi',
    max_tokens: 6,
    stream: true,
  }),
  post('v1.completions.usage', '/v1/completions', {
    model: 'alpha',
    prompt: 'hi',
    max_tokens: 6,
    stream: true,
    stream_options: { include_usage: true },
  }),
  post('v1.completions.list', '/v1/completions', { model: 'alpha', prompt: ['hi'] }),
  post('v1.completions.missing', '/v1/completions', { model: 'Nothing', prompt: 'hi' }),
  post('v1.embeddings', '/v1/embeddings', { model: 'embed', input: 'hello' }),
  post('v1.embeddings.base64', '/v1/embeddings', {
    model: 'embed',
    input: ['a', 'b'],
    encoding_format: 'base64',
  }),
  post('v1.embeddings.badformat', '/v1/embeddings', {
    model: 'embed',
    input: 'a',
    encoding_format: 'hex',
  }),
  post('v1.embeddings.empty', '/v1/embeddings', { model: 'embed', input: [] }),
  post('v1.embeddings.tokens', '/v1/embeddings', { model: 'embed', input: [1, 2] }),
  post('v1.embeddings.missing', '/v1/embeddings', { model: 'Nothing', input: 'x' }),
  get('v1.models', '/v1/models'),
  get('v1.model', '/v1/models/alpha'),
  get('v1.model.missing', '/v1/models/Nothing'),
  post('v1.responses', '/v1/responses', { model: 'alpha', input: 'hi', max_output_tokens: 6 }),
  post('v1.responses.stream', '/v1/responses', {
    model: 'alpha',
    input: 'hi',
    max_output_tokens: 6,
    stream: true,
  }),
  post('v1.responses.missing', '/v1/responses', { model: 'Nothing', input: 'hi' }),
  post('v1.responses.none', '/v1/responses'),
  post('v1.responses.noinput', '/v1/responses', { model: 'alpha' }),
]

const anthropic: Step[] = [
  post('v1.messages', '/v1/messages', { model: 'alpha', max_tokens: 6, messages: HELLO }),
  post('v1.messages.stream', '/v1/messages', {
    model: 'alpha',
    max_tokens: 6,
    messages: HELLO,
    stream: true,
  }),
  post('v1.messages.system', '/v1/messages', {
    model: 'alpha',
    max_tokens: 3,
    system: [{ type: 'text', text: 'be brief' }],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
  }),
  post('v1.messages.thinking', '/v1/messages', {
    model: 'alpha',
    max_tokens: 3,
    thinking: { type: 'enabled', budget_tokens: 1024 },
    messages: HELLO,
  }),
  obeyed(
    post('v1.messages.stop', '/v1/messages', {
      model: 'alpha',
      max_tokens: 60,
      stop_sequences: [' '],
      messages: HELLO,
    }),
  ),
  post('v1.messages.none', '/v1/messages'),
  post('v1.messages.nameless', '/v1/messages', { max_tokens: 3, messages: HELLO }),
  post('v1.messages.nomax', '/v1/messages', { model: 'alpha', messages: HELLO }),
  post('v1.messages.nomessages', '/v1/messages', { model: 'alpha', max_tokens: 3 }),
  post('v1.messages.missing', '/v1/messages', { model: 'Nothing', max_tokens: 3, messages: HELLO }),
  post('v1.messages.missing.stream', '/v1/messages', {
    model: 'Nothing',
    max_tokens: 3,
    messages: HELLO,
    stream: true,
  }),
  post('v1.messages.embed', '/v1/messages', { model: 'embed', max_tokens: 3, messages: HELLO }),
  post('v1.messages.cloud', '/v1/messages', {
    model: 'gpt-oss:120b-cloud',
    max_tokens: 3,
    messages: HELLO,
  }),
]

const THINK = '[[think]] Think about it.'
const CALL = '[[call weather]] Use the tool weather, please.'
const AGAIN = '[[repeat]]'
const asking = (content: string): unknown[] => [{ role: 'user', content }]
const OPENAI_TOOLS = [WEATHER]
const ANTHROPIC_TOOLS = [
  {
    name: WEATHER.function.name,
    description: WEATHER.function.description,
    input_schema: WEATHER.function.parameters,
  },
]
const RESPONSES_TOOLS = [{ type: 'function', ...WEATHER.function }]

/** Each family whole and as a stream. */
function families(
  id: string,
  model: string,
  prompt: string,
  tools: boolean,
  think: boolean,
): Step[] {
  const chatBody = { model, messages: asking(prompt) }
  const list: Array<[string, string, Record<string, unknown>]> = [
    [
      'chat',
      '/api/chat',
      {
        ...chatBody,
        ...(tools ? { tools: OPENAI_TOOLS } : {}),
        ...(think ? {} : { think: false }),
      },
    ],
    [
      'v1.chat',
      '/v1/chat/completions',
      {
        ...chatBody,
        ...(tools ? { tools: OPENAI_TOOLS } : {}),
        ...(think ? {} : { reasoning_effort: 'none' }),
      },
    ],
    [
      'v1.messages',
      '/v1/messages',
      {
        ...chatBody,
        max_tokens: 400,
        ...(tools ? { tools: ANTHROPIC_TOOLS } : {}),
        thinking: think ? { type: 'enabled', budget_tokens: 1024 } : { type: 'disabled' },
      },
    ],
    [
      'v1.responses',
      '/v1/responses',
      {
        model,
        input: prompt,
        ...(tools ? { tools: RESPONSES_TOOLS } : {}),
        ...(think ? {} : { reasoning: { effort: 'none' } }),
      },
    ],
  ]
  return list.flatMap(([family, path, body]) =>
    [false, true].map((stream) => ({
      ...post(`${id}.${family}${stream ? '.stream' : ''}`, path, { ...body, stream }),
      scripted: true,
    })),
  )
}

const scripted: Step[] = [
  ...families('end', 'alpha', 'say something short', false, false),
  ...families('think', 'native', THINK, false, true),
  ...families('think.template', 'multi', THINK, false, true),
  ...families('call', 'native', CALL, true, false),
  ...families('call.template', 'multi', CALL, true, false),
  ...families('repeat', 'loops', AGAIN, false, false),
  ...families('refuse', 'alpha', '[[refuse]]', false, false),
  ...[true, false].map((stream) => ({
    ...post(`repeat.generate${stream ? '.stream' : ''}`, '/api/generate', {
      model: 'loops',
      prompt: AGAIN,
      stream,
    }),
    scripted: true,
  })),
  ...[true, false].map((stream) => ({
    ...post(`think.generate${stream ? '.stream' : ''}`, '/api/generate', {
      model: 'multi',
      prompt: THINK,
      stream,
    }),
    scripted: true,
  })),
]

const blob = tinyGguf({ seed: 77 })
const blobDigest = `sha256:${sha256(blob)}`
const absent = `sha256:${'0123456789abcdef'.repeat(4)}`

const admin: Step[] = [
  head('blob.head.bad', '/api/blobs/sha256:12'),
  head('blob.head.absent', `/api/blobs/${absent}`),
  post('blob.mismatch', `/api/blobs/${absent}`, Buffer.from('not that')),
  post('blob.bad', '/api/blobs/nonsense', Buffer.from('x')),
  post('blob', `/api/blobs/${blobDigest}`, blob),
  post('blob.again', `/api/blobs/${blobDigest}`, blob),
  head('blob.head', `/api/blobs/${blobDigest}`),
  post('create.none', '/api/create'),
  post('create.nameless', '/api/create', { files: { 'a.gguf': blobDigest } }),
  post('create.nothing', '/api/create', { model: 'made' }),
  post('create.nothing.whole', '/api/create', { model: 'made', stream: false }),
  post('create.badfile', '/api/create', { model: 'made', files: { '../a.gguf': blobDigest } }),
  post('create.absent', '/api/create', { model: 'made', files: { 'a.gguf': absent } }),
  post('create.absent.whole', '/api/create', {
    model: 'made',
    files: { 'a.gguf': absent },
    stream: false,
  }),
  post('create', '/api/create', {
    model: 'made',
    files: { 'a.gguf': blobDigest },
    template: PLAIN,
    system: 'You are tiny.',
    license: 'free',
    parameters: { temperature: 0.5, stop: ['a', 'b'] },
    messages: [{ role: 'user', content: 'hi' }],
  }),
  post('create.again', '/api/create', {
    model: 'made',
    files: { 'a.gguf': blobDigest },
    template: PLAIN,
    stream: false,
  }),
  post('create.from', '/api/create', { model: 'child', from: 'alpha', system: 'You are a child.' }),
  post('create.from.whole', '/api/create', { model: 'child', from: 'alpha', stream: false }),
  post('show.made', '/api/show', { model: 'child' }),
  post('copy.none', '/api/copy'),
  post('copy.missing', '/api/copy', { source: 'Nothing', destination: 'copied' }),
  post('copy.invalid', '/api/copy', { source: 'a b', destination: 'copied' }),
  post('copy.invalid.destination', '/api/copy', { source: 'alpha', destination: '' }),
  post('copy', '/api/copy', { source: 'alpha', destination: 'copied' }),
  ask('delete', 'DELETE', '/api/delete', { model: 'copied' }),
  ask('delete.again', 'DELETE', '/api/delete', { model: 'copied' }),
  ask('delete.legacy', 'DELETE', '/api/delete', { name: 'child' }),
  ask('delete.made', 'DELETE', '/api/delete', { model: 'made' }),
  ask('delete.none', 'DELETE', '/api/delete'),
  ask('delete.invalid', 'DELETE', '/api/delete', { model: 'a b' }),
  post('pull.unreachable', '/api/pull', { model: '127.0.0.1:1/a/b', insecure: true }),
  post('pull.unreachable.whole', '/api/pull', {
    model: '127.0.0.1:1/a/b',
    insecure: true,
    stream: false,
  }),
  post('pull.none', '/api/pull'),
  post('pull.nameless', '/api/pull', {}),
  post('push.nameless', '/api/push', {}),
  post('push.missing', '/api/push', { model: '127.0.0.1:1/a/nothing', insecure: true }),
  post('web_search', '/api/experimental/web_search', { query: 'x' }),
  get('recommendations', '/api/experimental/model-recommendations'),
]

const aliases: Step[] = [
  named('alias.ps', async (target) => {
    await unloadAll(target)
    await json(target, 'POST', '/api/copy', { source: 'alpha', destination: 'twin' })
    await load(target, 'alpha')
    await load(target, 'twin')
    const both = await loaded(target)
    await json(target, 'POST', '/api/generate', { model: 'twin', keep_alive: 0 })
    const gone = await until(async () => (await loaded(target)).length === 0, 2000)
    await json(target, 'DELETE', '/api/delete', { model: 'twin' })
    return { both, unloadOfTwinUnloadsAlpha: gone }
  }),
  named('ps.order', async (target) => {
    await unloadAll(target)
    await json(target, 'POST', '/api/generate', { model: 'beta', keep_alive: '9m' })
    await json(target, 'POST', '/api/generate', { model: 'alpha', keep_alive: '3m' })
    await json(target, 'POST', '/api/generate', { model: 'jinja', keep_alive: '6m' })
    const ps = (await json(target, 'GET', '/api/ps')) as { models: Row[] }
    return { names: ps.models.map((row) => row.name) }
  }),
  named('tags.order', async (target) => {
    await sleep(1100)
    await json(target, 'POST', '/api/copy', { source: 'alpha', destination: 'aardvark' })
    const tags = (await json(target, 'GET', '/api/tags')) as { models: Row[] }
    await json(target, 'DELETE', '/api/delete', { model: 'aardvark' })
    return { newest: tags.models[0]?.name }
  }),
  named('keepalive.second', async (target) => {
    await unloadAll(target)
    await json(target, 'POST', '/api/generate', { model: 'alpha', keep_alive: '1s' })
    const at = await loaded(target)
    const gone = await until(async () => (await loaded(target)).length === 0, 4000)
    return { at, gone }
  }),
  named('keepalive.zero', async (target) => {
    const answer = await send(target.port, {
      method: 'POST',
      path: '/api/generate',
      body: { model: 'alpha', prompt: 'hi', keep_alive: 0, stream: false, options: FEW },
    })
    const gone = await until(async () => (await loaded(target)).length === 0, 2000)
    return { status: answer.status, gone }
  }),
  named('reload.options', async (target) => {
    // Whether a change of num_ctx reloads shows in context_length of ps.
    const lengths: unknown[] = []
    for (const options of [
      {},
      { num_ctx: 1024 },
      {},
      { temperature: 0.1 },
      { num_ctx: 999_999 },
      { num_ctx: 1 },
    ]) {
      await json(target, 'POST', '/api/generate', { model: 'alpha', options })
      const ps = (await json(target, 'GET', '/api/ps')) as {
        models: Array<{ context_length: number }>
      }
      lengths.push(ps.models.map((row) => row.context_length))
    }
    return { lengths }
  }),
  named('deleted.loaded', async (target) => {
    await json(target, 'POST', '/api/copy', { source: 'beta', destination: 'brief' })
    await load(target, 'brief')
    await json(target, 'DELETE', '/api/delete', { model: 'brief' })
    const after = (await loaded(target)).includes('brief:latest')
    const answer = await send(target.port, {
      method: 'POST',
      path: '/api/generate',
      body: { model: 'brief' },
    })
    // It has no name any more; the model that it was copied from shares its weights and its runner.
    await json(target, 'POST', '/api/generate', { model: 'beta', keep_alive: 0 })
    await unloadAll(target)
    return { stillInPs: after, status: answer.status }
  }),
]

const generateLong = (model: string): Ask => ({
  method: 'POST',
  path: '/api/generate',
  body: { model, prompt: '[[endless]]', options: LONG },
})

const scheduling: Step[] = [
  named('evict', async (target) => {
    await load(target, 'alpha')
    const first = await loaded(target)
    await load(target, 'beta')
    return { first, second: await loaded(target) }
  }),
  named('evict.waits', async (target) => {
    // The victim is busy: the other model's request waits until it is idle, and then is served.
    await unloadAll(target)
    const order: string[] = []
    const done = during(
      target,
      {
        ...generateLong('alpha'),
        body: {
          model: 'alpha',
          prompt: '[[endless]]',
          options: { num_predict: 900, seed: 1 },
        },
      },
      () => sleep(0),
    ).then((answer) => {
      order.push(`alpha ${answer.status}`)
    })
    await sleep(100)
    await until(async () => (await loaded(target)).includes('alpha:latest'))
    const other = load(target, 'beta').then(() => order.push('beta'))
    await Promise.all([done, other])
    return { order, left: await loaded(target) }
  }),
  named('queue.full', async (target) => {
    await unloadAll(target)
    const answers: Array<Promise<Answer>> = []
    for (const model of ['alpha', 'beta', 'multi', 'jinja', 'alpha', 'beta']) {
      answers.push(send(target.port, { method: 'POST', path: '/api/generate', body: { model } }))
      await sleep(4)
    }
    const all = await Promise.all(answers)
    const full = all.find((answer) => answer.status === 503)
    return {
      statuses: all.map((answer) => answer.status),
      refusal: full === undefined ? undefined : observe(full),
    }
  }),
  named('queue.full.v1', async (target) => {
    await unloadAll(target)
    const paths = ['/v1/chat/completions', '/v1/messages', '/v1/completions', '/api/embed']
    const bodies = [
      { model: 'alpha', messages: HELLO, max_tokens: 2 },
      { model: 'beta', messages: HELLO, max_tokens: 2 },
      { model: 'multi', prompt: 'x', max_tokens: 2 },
      { model: 'embed', input: 'x' },
    ]
    const blockers = ['beta', 'multi', 'jinja'].map((model) => ({ model }))
    const first: Array<Promise<Answer>> = []
    for (const body of blockers) {
      first.push(send(target.port, { method: 'POST', path: '/api/generate', body }))
      await sleep(4)
    }
    const answers = await Promise.all(
      paths.map((path, index) => send(target.port, { method: 'POST', path, body: bodies[index] })),
    )
    await Promise.all(first)
    return Object.fromEntries(
      paths.map((path, index) => {
        const answer = answers[index]
        return [path, answer === undefined ? undefined : observe(answer)]
      }),
    )
  }),
  named('queue.warm', async (target) => {
    // Requests for the loaded model never enter that queue, however many wait for its one slot.
    await unloadAll(target)
    await load(target, 'alpha')
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        send(target.port, {
          method: 'POST',
          path: '/api/generate',
          body: { model: 'alpha', prompt: 'hi', stream: false, options: FEW },
        }),
      ),
    )
    return { statuses: answers.map((answer) => answer.status) }
  }),
  named('load.dropped', async (target) => {
    await unloadAll(target)
    const how = await drop(
      target,
      { method: 'POST', path: '/api/generate', body: { model: 'beta' } },
      60,
    )
    await sleep(1500)
    const left = await loaded(target)
    const answer = await send(target.port, {
      method: 'POST',
      path: '/api/generate',
      body: { model: 'beta' },
    })
    return { how, left, next: answer.status }
  }),
  named('load.dropped.shared', async (target) => {
    // Another request waits for the same load; it starts the load over and is served.
    await unloadAll(target)
    const owner = drop(
      target,
      { method: 'POST', path: '/api/generate', body: { model: 'beta' } },
      80,
    )
    await sleep(30)
    const answer = await send(target.port, {
      method: 'POST',
      path: '/api/generate',
      body: { model: 'beta' },
    })
    return { owner: await owner, other: answer.status }
  }),
  named('stream.dropped', async (target) => {
    await load(target, 'alpha')
    const how = await drop(target, generateLong('alpha'))
    const begun = Date.now()
    const answer = await send(target.port, {
      method: 'POST',
      path: '/api/generate',
      body: { model: 'alpha', prompt: 'hi', stream: false, options: FEW },
    })
    return { how, status: answer.status, soon: Date.now() - begun < 2000 }
  }),
  ...(
    [
      ['generate', '/api/generate', { prompt: '[[endless]]', options: LONG }],
      [
        'chat',
        '/api/chat',
        { messages: [{ role: 'user', content: '[[endless]]' }], options: LONG },
      ],
      ['generate.whole', '/api/generate', { prompt: '[[endless]]', options: LONG, stream: false }],
      [
        'v1.chat',
        '/v1/chat/completions',
        { messages: [{ role: 'user', content: '[[endless]]' }], max_tokens: 30_000, stream: true },
      ],
      [
        'v1.completions',
        '/v1/completions',
        { prompt: '[[endless]]', max_tokens: 30_000, stream: true },
      ],
      [
        'v1.responses',
        '/v1/responses',
        { input: '[[endless]]', max_output_tokens: 30_000, stream: true },
      ],
      [
        'v1.messages',
        '/v1/messages',
        { messages: [{ role: 'user', content: '[[endless]]' }], max_tokens: 30_000, stream: true },
      ],
      [
        'v1.messages.whole',
        '/v1/messages',
        { messages: [{ role: 'user', content: '[[endless]]' }], max_tokens: 30_000 },
      ],
      [
        'v1.chat.whole',
        '/v1/chat/completions',
        { messages: [{ role: 'user', content: '[[endless]]' }], max_tokens: 30_000 },
      ],
    ] as const
  ).map(([id, path, body]) =>
    named(`crash.${id}`, async (target) => {
      await load(target, 'alpha')
      const request: Ask = { method: 'POST', path, body: { model: 'alpha', ...body } }
      const whole = id.endsWith('.whole')
      const answer = whole
        ? await (async () => {
            const waiting = send(target.port, request)
            await sleep(1_000)
            await target.killEngine()
            return waiting
          })()
        : await during(target, request, () => target.killEngine())
      const next = await send(target.port, {
        method: 'POST',
        path: '/api/generate',
        body: { model: 'alpha', prompt: 'hi', stream: false, options: FEW },
      })
      return { answer: observe(answer), next: next.status }
    }),
  ),
  ...(['/api/generate', '/v1/chat/completions', '/v1/messages'] as const).map((path) =>
    named(`crash.before.${path}`, async (target) => {
      await load(target, 'alpha')
      const prompt = `[[hang]] ${'word '.repeat(3500)} [[hang]]`
      const body =
        path === '/api/generate'
          ? { model: 'alpha', prompt, options: LONG }
          : {
              model: 'alpha',
              messages: [{ role: 'user', content: prompt }],
              max_tokens: 30_000,
              stream: true,
            }
      const waiting = send(target.port, { method: 'POST', path, body })
      await sleep(120)
      await target.killEngine()
      const answer = await waiting
      const next = await send(target.port, {
        method: 'POST',
        path: '/api/generate',
        body: { model: 'alpha', prompt: 'hi', stream: false, options: FEW },
      })
      return { answer: observe(answer), next: next.status }
    }),
  ),
  named('crash.idle', async (target) => {
    await load(target, 'alpha')
    await target.killEngine()
    await sleep(300)
    const listed = await loaded(target)
    const next = await send(target.port, {
      method: 'POST',
      path: '/api/generate',
      body: { model: 'alpha', prompt: 'hi', stream: false, options: FEW },
    })
    return { listed, next: next.status }
  }),
]

export const PHASES: readonly Phase[] = [
  {
    name: 'routes',
    settings: { maxLoaded: 3, maxQueue: 512, parallel: 1, loadMs: 0, longAnswers: false },
    steps: [
      ...routes,
      ...show,
      ...generate,
      ...chat,
      ...embedding,
      ...openai,
      ...anthropic,
      ...scripted,
      ...admin,
      ...aliases,
    ],
  },
  {
    name: 'scheduling',
    settings: { maxLoaded: 1, maxQueue: 1, parallel: 1, loadMs: 300, longAnswers: true },
    steps: scheduling,
  },
]

export type Recording = Record<string, StepRecord>

export async function runPhase(
  phase: Phase,
  target: Target,
  wanted: (step: Step) => boolean = () => true,
): Promise<Recording> {
  const recording: Recording = {}
  for (const step of phase.steps) {
    if (!wanted(step)) continue
    try {
      recording[step.id] = await step.run(target)
    } catch (error) {
      recording[step.id] = { failed: error instanceof Error ? error.message : String(error) }
    }
  }
  return recording
}
