#!/usr/bin/env node
/**
 * A scripted stand-in for the engine processes that newer Ollama starts, so that its real scheduler and routes can be
 * calibrated without an engine. Installed under two names: `llama-server` (serves) and `llama-quantize` (copies).
 *
 * The prompt steers it: `[[hang]]` never answers, `[[slow 50]]` waits 50 ms before each piece, `[[die 3]]` dies after
 * three pieces, `[[refuse]]` answers 400, `[[think]]` reasons first, `[[call name]]` calls a tool, `[[say text]]`
 * fixes the words, `[[endless]]` never stops by itself, `[[repeat]]` says one word forty times.
 */
import { copyFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const args = process.argv.slice(2)
const after = (flag) => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
const log = (line) => process.stderr.write(`${line}\n`)

if (args[0] === '--allow-requantize') {
  const [input, output] = args.filter((arg) => !arg.startsWith('--')).slice(0, 2)
  copyFileSync(input, output)
  process.stdout.write('[   1/   1] token_embd.weight - copied\n')
  process.exit(0)
}
if (args.includes('--list-devices')) {
  process.stdout.write('Available devices:\n')
  process.exit(0)
}

log('system_info: n_threads = 1 | CPU : SCRIPTED = 1 |')
const model = after('--model')
const loadMs = Number(process.env.FAKE_LOAD_MS ?? 0)
const readyAt = Date.now() + (model === undefined ? 0 : loadMs)
const embedding = args.includes('--embedding')
const contextTotal = Number(after('-c') ?? 4096)
const slots = Number(after('-np') ?? 1)
const context = Math.max(1, Math.floor(contextTotal / slots))

if (model !== undefined) {
  log('load_tensors: offloaded 0/3 layers to GPU')
  log('load_tensors:   CPU_Mapped model buffer size =     0.67 MiB')
  log('llama_kv_cache:        CPU KV buffer size =     4.00 MiB')
  log('sched_reserve:        CPU compute buffer size =     2.00 MiB')
}

/** Four characters a token, with the text kept so that tokens can be turned back. */
const pieces = []
const numbers = new Map()
function tokenize(text) {
  const list = []
  for (let at = 0; at < text.length; at += 4) {
    const piece = text.slice(at, at + 4)
    if (!numbers.has(piece)) {
      numbers.set(piece, pieces.length)
      pieces.push(piece)
    }
    list.push(numbers.get(piece))
  }
  return list
}

const contentText = (content) =>
  typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('')

/** Like a ChatML template with a generation prompt; a trailing assistant message is left open, to be continued. */
function template(messages) {
  let text = ''
  messages.forEach((message, index) => {
    text += `<|${message.role}|>${contentText(message.content)}`
    const last = index === messages.length - 1
    if (!(last && message.role === 'assistant')) text += '<|end|>'
    if (last && message.role !== 'assistant') text += '<|assistant|>'
  })
  return text
}

let previous = []
function cached(tokens) {
  let common = 0
  while (common < tokens.length && common < previous.length && tokens[common] === previous[common])
    common++
  previous = tokens
  return Math.min(common, Math.max(0, tokens.length - 1))
}

function script(text, request) {
  const say = /\[\[say ([^\]]*)\]\]/.exec(text)?.[1]
  const call = /\[\[call (\w+)\]\]/.exec(text)?.[1]
  const json = request.grammar !== undefined || request.json_schema !== undefined
  const format = request.response_format !== undefined
  const words =
    say ??
    (text.includes('[[repeat]]') ? 'again '.repeat(40) : undefined) ??
    (call === undefined ? undefined : '') ??
    (json || format
      ? '{"answer": 42}'
      : 'The sky is blue because air scatters short wavelengths of sunlight more than long ones, ')
  const list = words === '' ? [] : words.split(/(?<= )/)
  return {
    // A real engine on open-ended text of a tiny model would go on and on.
    endless: /\[\[endless\]\]/.test(text),
    words: list,
    slow: Number(/\[\[slow (\d+)\]\]/.exec(text)?.[1] ?? 0),
    die: /\[\[die (\d+)\]\]/.exec(text)?.[1],
    hang: text.includes('[[hang]]'),
    refuse: text.includes('[[refuse]]'),
    think: text.includes('[[think]]'),
    call,
  }
}

/** The engine's own refusal of a prompt that does not fit. */
function tooLong(text) {
  const tokens = tokenize(text).length
  if (tokens < context) return undefined
  return {
    error: {
      code: 400,
      message: `request (${tokens} tokens) exceeds the available context size (${context} tokens), try increasing it`,
      type: 'exceed_context_size_error',
      n_prompt_tokens: tokens,
      n_ctx: context,
    },
  }
}

async function body(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  const text = Buffer.concat(parts).toString('utf8')
  return text === '' ? {} : JSON.parse(text)
}

function json(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(value))
}

const refusal = {
  error: { code: 400, message: 'scripted refusal', type: 'invalid_request_error' },
}

/** Runs the script and hands over pieces; resolves to what the last frame needs. */
async function generate(text, request, response, piece, extra = 0) {
  const plan = script(text, request)
  const tokens = tokenize(text)
  const cacheCount = cached(tokens)
  const limit = request.n_predict > 0 ? request.n_predict : Number.POSITIVE_INFINITY
  if (plan.hang) await new Promise((resolve) => response.on('close', resolve))
  // What was said before the words counts too: `extra` pieces of thoughts or of a call.
  let made = extra
  let gone = false
  let stopped = false
  response.on('close', () => {
    gone = true
  })
  let said = ''
  for (let index = 0; (plan.endless || index < plan.words.length) && !gone; index++) {
    if (made >= limit) break
    if (plan.slow > 0) await sleep(plan.slow)
    else if (plan.endless) await sleep(1)
    if (plan.die !== undefined && made >= Number(plan.die)) {
      log('scripted crash')
      process.exit(9)
    }
    const next = plan.words[index % plan.words.length]
    said += next
    made++
    const ends = (request.stop ?? []).map((stop) => said.indexOf(stop)).filter((at) => at >= 0)
    if (ends.length > 0) {
      stopped = true
      const rest = next.slice(0, Math.max(0, Math.min(...ends) - (said.length - next.length)))
      if (rest !== '') piece(rest)
      break
    }
    piece(next)
  }
  const limited = !stopped && made >= limit
  return {
    limited,
    plan,
    timings: {
      cache_n: cacheCount,
      prompt_n: tokens.length - cacheCount,
      prompt_ms: 1 + (tokens.length - cacheCount) * 0.05,
      predicted_n: made,
      predicted_ms: Math.max(1, made) * 0.5,
    },
  }
}

const probability = (token) => ({
  id: 1,
  token,
  bytes: [...Buffer.from(token)],
  logprob: -0.5,
  top_logprobs: [
    { id: 1, token, bytes: [...Buffer.from(token)], logprob: -0.5 },
    { id: 2, token: 'x', bytes: [120], logprob: -1.5 },
  ],
})

async function completion(request, response) {
  const asked = await body(request)
  const prompt = asked.prompt
  const text = Array.isArray(prompt)
    ? prompt.map((token) => pieces[token] ?? '').join('')
    : typeof prompt === 'object'
      ? prompt.prompt_string
      : prompt
  if (script(text, asked).refuse) return json(response, 400, refusal)
  const excess = tooLong(text)
  if (excess !== undefined) return json(response, 400, excess)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const send = (value) => response.write(`data: ${JSON.stringify(value)}\n\n`)
  const plan = script(text, asked)
  const before = [
    ...(plan.think ? ['<think>', 'let ', 'me ', 'see', '</think>'] : []),
    ...(plan.call === undefined
      ? []
      : ['{"name": ', `"${plan.call}", `, '"arguments": ', '{"city": ', '"Cusco"}', '}']),
  ]
  for (const content of before) send({ content, stop: false })
  const end = await generate(
    text,
    asked,
    response,
    (piece) =>
      send({
        index: 0,
        content: piece,
        tokens: [1],
        stop: false,
        ...(asked.n_probs > 0 ? { completion_probabilities: [probability(piece)] } : {}),
      }),
    before.length,
  )
  send({
    index: 0,
    content: '',
    stop: true,
    stop_type: end.limited ? 'limit' : 'eos',
    timings: end.timings,
  })
  response.end()
}

async function chat(request, response) {
  const asked = await body(request)
  const text = template(asked.messages)
  const plan = script(text, asked)
  if (plan.refuse) return json(response, 400, refusal)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const send = (delta, finish = null, extra = {}) =>
    response.write(
      `data: ${JSON.stringify({
        choices: [{ index: 0, delta, finish_reason: finish, ...(extra.choice ?? {}) }],
        created: 1,
        id: 'chatcmpl-scripted',
        model: 'scripted',
        object: 'chat.completion.chunk',
        ...(extra.chunk ?? {}),
      })}\n\n`,
    )
  if (!plan.hang) send({ role: 'assistant', content: null })
  if (plan.think && asked.chat_template_kwargs?.enable_thinking !== false) {
    for (const piece of ['let ', 'me ', 'see']) send({ reasoning_content: piece })
  }
  if (plan.call !== undefined && (asked.tools ?? []).length > 0) {
    const call = { index: 0, id: 'call_1', type: 'function' }
    send({ tool_calls: [{ ...call, function: { name: plan.call, arguments: '' } }] })
    send({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] })
    send({ tool_calls: [{ index: 0, function: { arguments: '"Cusco"}' } }] })
    send({}, 'tool_calls', {
      chunk: {
        timings: { cache_n: 0, prompt_n: 9, prompt_ms: 2, predicted_n: 3, predicted_ms: 2 },
      },
    })
    response.end('data: [DONE]\n\n')
    return
  }
  const end = await generate(
    text,
    asked,
    response,
    (piece) =>
      send(
        { content: piece },
        null,
        asked.logprobs ? { choice: { logprobs: { content: [probability(piece)] } } } : {},
      ),
    plan.think ? 3 : 0,
  )
  send({}, end.limited ? 'length' : 'stop', { chunk: { timings: end.timings } })
  response.end('data: [DONE]\n\n')
}

async function embeddings(request, response) {
  const asked = await body(request)
  const tokens = tokenize(String(asked.input))
  if (tokens.length > context) {
    return json(response, 500, {
      error: { code: 500, message: 'input is too large to process', type: 'server_error' },
    })
  }
  const vector = Array.from({ length: 64 }, (_, index) => Math.sin(index + tokens.length))
  const norm = Math.hypot(...vector)
  json(response, 200, {
    object: 'list',
    model: 'scripted',
    data: [{ object: 'embedding', index: 0, embedding: vector.map((value) => value / norm) }],
    usage: { prompt_tokens: tokens.length, total_tokens: tokens.length },
  })
}

const routes = {
  'GET /health': (_request, response) =>
    Date.now() < readyAt
      ? json(response, 503, {
          error: { code: 503, message: 'Loading model', type: 'unavailable_error' },
        })
      : json(response, 200, { status: 'ok' }),
  'POST /completion': completion,
  'POST /v1/chat/completions': chat,
  'POST /v1/embeddings': embeddings,
  'POST /apply-template': async (request, response) =>
    json(response, 200, { prompt: template((await body(request)).messages) }),
  'POST /tokenize': async (request, response) =>
    json(response, 200, { tokens: tokenize(String((await body(request)).content)) }),
  'POST /detokenize': async (request, response) =>
    json(response, 200, {
      content: ((await body(request)).tokens ?? []).map((token) => pieces[token] ?? '?').join(''),
    }),
}

createServer((request, response) => {
  const route = routes[`${request.method} ${request.url}`]
  if (route === undefined) return json(response, 404, { error: { code: 404, message: 'no route' } })
  Promise.resolve(route(request, response)).catch((error) => {
    log(`scripted engine failed: ${error}`)
    response.destroy()
  })
}).listen(Number(after('--port') ?? 0), after('--host') ?? '127.0.0.1', () => {
  log(`server is listening${embedding ? ' for embeddings' : ''}`)
})
