import type { Fields } from './go-json.ts'
import { demand, findModel, fingerprintOf, type House, takeRunner } from './inference.ts'
import { tokenCount } from './prompt-cache.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'
import { type Call, type Route, withStruct } from './routes.ts'
import { answerOf, seedOf, sha256 } from './text.ts'

/** The account, the searches that ollama.com answers, and sound. */

function signedIn(house: House): void {
  if (!house.settings.signedIn)
    throw new Refusal(401, 'unauthorized', {
      signin_url: 'https://ollama.com/connect?name=simulator&key=c2ltdWxhdG9y',
    })
}

function cloudAllowed(house: House, what: string): void {
  if (house.settings.cloudDisabled)
    throw new Refusal(403, `ollama cloud is disabled: ${what} is unavailable`)
}

function me(house: House, _call: Call, reply: Reply): void {
  signedIn(house)
  reply.json(200, {
    id: '00000000-0000-4000-8000-000000000001',
    email: `${house.settings.name}@example.com`,
    name: house.settings.name,
    bio: '',
    avatarurl: '',
    firstname: '',
    lastname: '',
    plan: 'free',
  })
}

function signOut(house: House, _call: Call, reply: Reply): void {
  if (!house.settings.signedIn) throw new Refusal(401, 'you are not currently signed in')
  reply.json(200, null)
}

function webSearch(house: House, fields: Fields, reply: Reply): void {
  const query = fields.string('query') ?? ''
  cloudAllowed(house, 'web search')
  if (query === '') throw new Refusal(400, 'query is required')
  signedIn(house)
  const count = Math.min(Math.max(1, fields.integer('max_results') ?? 5), 10)
  const results = Array.from({ length: count }, (_, index) => ({
    title: `${query} ${index + 1}`,
    url: `https://example.com/${index + 1}`,
    content: answerOf(seedOf('search', query, String(index)), undefined).text,
  }))
  reply.json(200, { results })
}

function webFetch(house: House, fields: Fields, reply: Reply): void {
  const url = fields.string('url') ?? ''
  cloudAllowed(house, 'web fetch')
  if (url === '') throw new Refusal(400, 'url is required')
  signedIn(house)
  const content = answerOf(seedOf('fetch', url), undefined).text
  reply.json(200, { title: url, content, links: ['https://example.com/'] })
}

function recommendations(house: House, _call: Call, reply: Reply): void {
  // Cloud models tell their limits, local ones the memory that they need.
  reply.json(200, {
    recommendations: [
      {
        model: 'gpt-oss:120b-cloud',
        description: 'a simulated model of the cloud',
        context_length: 131_072,
        max_output_tokens: 131_072,
      },
      ...house.store
        .all()
        .filter((model) => model.remoteHost === undefined)
        .map((model) => ({
          model: model.name,
          description: 'a simulated model',
          vram_bytes: model.sizeBytes,
        })),
    ],
  })
}

/** Multipart: parts in any order, the model possibly behind the file. */
async function transcribe(house: House, call: Call, reply: Reply): Promise<void> {
  const form = await readForm(call)
  const field = (name: string) => {
    const value = form.get(name)
    return typeof value === 'string' ? value : ''
  }
  const file = form.get('file')
  if (file === null || typeof file === 'string') throw new Refusal(400, 'file is required')
  const name = field('model')
  if (name === '') throw new Refusal(400, 'model is required')
  reply.entry.model = name
  const model = findModel(house, name)
  demand(model, name, ['audio'])
  const sound = sha256(Buffer.from(await file.arrayBuffer()))
  const fingerprint = fingerprintOf(model, {}, true, house.settings)
  using hold = await takeRunner(house, model, fingerprint, undefined, reply)
  const { tokens, text } = answerOf(seedOf(model.weights, sound, field('prompt')), undefined)
  const { entry, signal } = reply
  const prompt = sound.repeat(8)
  await hold.runner.work(
    { prompt, pieces: tokens.length, entry, signal },
    async () => {},
    () => '',
  )
  entry.promptTokens = tokenCount(prompt)
  if (field('response_format') === 'text') reply.text(200, text)
  else reply.jsonLine(200, { text })
}

async function readForm(call: Call): Promise<FormData> {
  try {
    const type = call.req.headers['content-type'] ?? ''
    return await new Response(new Uint8Array(call.body), {
      headers: { 'Content-Type': type },
    }).formData()
  } catch {
    throw new Refusal(400, 'invalid multipart form')
  }
}

export const accountRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/api/status',
    handle: (house, _call, reply) => {
      const disabled = house.settings.cloudDisabled
      reply.json(200, { cloud: { disabled, source: disabled ? 'env' : 'none' } })
    },
  },
  { method: 'POST', path: '/api/me', handle: me },
  { method: 'POST', path: '/api/signout', handle: signOut },
  { method: 'DELETE', path: '/api/user/keys/:encodedKey', handle: signOut },
  {
    method: 'POST',
    path: '/api/experimental/web_search',
    handle: withStruct('WebSearchRequest', webSearch),
  },
  {
    method: 'POST',
    path: '/api/experimental/web_fetch',
    handle: withStruct('WebFetchRequest', webFetch),
  },
  { method: 'GET', path: '/api/experimental/model-recommendations', handle: recommendations },
  { method: 'POST', path: '/v1/audio/transcriptions', handle: transcribe },
]
