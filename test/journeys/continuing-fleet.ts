import { type ModelKind, modelKinds } from '../../backends/simulator/settings.ts'
import { canonicalName } from '../../src/core/model-name.ts'
import { type Fleet, type FleetOptions, startFleet } from '../help/fleet.ts'
import { type CallOptions, type WholeAnswer, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { blind } from '../help/warm-fleet.ts'

/** One model of each kind, named by it. */
export const modelOf = (kind: ModelKind) => `m-${kind}`
export const models = modelKinds.map((kind) => ({
  name: modelOf(kind),
  kind,
  ...(kind === 'thinks' ? { capabilities: ['completion', 'thinking'] } : {}),
}))

/** Every answer here breaks off; nobody may be spared for that, or the next would not begin where it should. */
const untiring = 'breaker: { failures: 1000, share: 1, window: 10000 }'

const names = '[a, b, c, d]'
const byName = `routing: { picker: capability, preferences: { chat: ${names}, generate: ${names}, responses: ${names} } }`

/** Long enough for a seam with words on either side, and a place near the end. */
export const answerTokens = 40

/** Backends that hold all kinds of models in memory, and are asked in the order of their names. */
export async function kindsFleet(
  { simulators = [{}, {}], config = '', ...more }: Partial<FleetOptions> = {},
  loaded: readonly string[] = models.map(({ name }) => name),
): Promise<Fleet> {
  const fleet = await startFleet({
    // A probe that holds a seat must not send the next request elsewhere.
    backend: (backend) => ({ ...backend, slots: 4 }),
    ...more,
    simulators: simulators.map((each) => ({
      models,
      maxLoaded: 20,
      slots: 4,
      answerTokens,
      decodeTokensPerSecond: 10_000,
      ...each,
    })),
    config: `${config.includes('probes:') ? '' : blind}\n${byName}\n${untiring}\n${config}`,
  })
  const { endpoints } = fleet.app.pool
  await until(() => endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  for (const [index, simulator] of fleet.simulators.entries()) {
    for (const name of loaded) {
      const body = JSON.stringify({ model: name, keep_alive: -1 })
      await (await fetch(`${simulator.url}/api/generate`, { method: 'POST', body })).text()
      endpoints[index]?.learnLoaded(canonicalName(name))
    }
    simulator.clearTrace()
  }
  return fleet
}

type Fields = Readonly<Record<string, unknown>>

/** What a client has understood of an answer. */
export interface Told {
  readonly text: string
  readonly thinking: string
  /** Ends of the answer that were told; a whole one has one. */
  readonly ends: number
  /** In the family's own form; the words. */
  readonly errors: readonly string[]
  readonly frames: readonly Fields[]
}

export interface Route {
  readonly path: string
  body(model: string, question: string, more?: Fields): object
  told(answer: Pick<WholeAnswer, 'text'>): Told
}

const asked = (question: string) => [{ role: 'user', content: question }]
const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>((one, key) => (one as Fields | undefined)?.[key], value ?? undefined)
export const textAt = (value: unknown, ...path: (string | number)[]): string => {
  const found = at(value, ...path)
  return typeof found === 'string' ? found : ''
}

function linesIn(text: string): Fields[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Fields)
}

/** Each event must be whole: a foreign byte between two of them is a fault. */
function eventsIn(text: string): (Fields | '[DONE]')[] {
  return text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => {
      const data = /^(?:event: \S+\n)?data: (.*)$/.exec(event)?.[1]
      if (data === undefined) throw new Error(`no event: ${JSON.stringify(event)}`)
      return data === '[DONE]' ? data : (JSON.parse(data) as Fields)
    })
}

function toldBy(
  frames: readonly Fields[],
  read: (frame: Fields) => { text?: string; thinking?: string; end?: boolean; error?: string },
): Told {
  const said = frames.map(read)
  return {
    text: said.map(({ text = '' }) => text).join(''),
    thinking: said.map(({ thinking = '' }) => thinking).join(''),
    ends: said.filter(({ end }) => end).length,
    errors: said.flatMap(({ error }) => (error === undefined || error === '' ? [] : [error])),
    frames,
  }
}

function native(field: 'message' | 'response') {
  return ({ text }: { text: string }) =>
    toldBy(linesIn(text), (line) => ({
      text: field === 'message' ? textAt(line, 'message', 'content') : textAt(line, 'response'),
      thinking: textAt(field === 'message' ? line['message'] : line, 'thinking'),
      end: line['done'] === true,
      error: textAt(line, 'error'),
    }))
}

function chunks(text: string): Told {
  const events = eventsIn(text)
  const frames = events.filter((event) => event !== '[DONE]')
  const told = toldBy(frames, (chunk) => ({
    text: textAt(chunk, 'choices', 0, 'delta', 'content') + textAt(chunk, 'choices', 0, 'text'),
    thinking: textAt(chunk, 'choices', 0, 'delta', 'reasoning'),
    error: textAt(chunk, 'error', 'message'),
  }))
  const reasons = frames.filter((chunk) => textAt(chunk, 'choices', 0, 'finish_reason') !== '')
  const dones = events.filter((event) => event === '[DONE]').length
  // A second reason or a second [DONE] is a second end.
  return {
    ...told,
    ends: told.errors.length > 0 ? reasons.length : Math.max(reasons.length, dones),
  }
}

export type RoutePath =
  | '/api/chat'
  | '/api/generate'
  | '/v1/chat/completions'
  | '/v1/completions'
  | '/v1/messages'
  | '/v1/responses'

export const routes: Readonly<Record<RoutePath, Route>> = {
  '/api/chat': {
    path: '/api/chat',
    body: (model, question, { temperature, ...more } = {}) => ({
      model,
      messages: asked(question),
      ...(temperature === undefined ? {} : { options: { temperature } }),
      ...more,
    }),
    told: native('message'),
  },
  '/api/generate': {
    path: '/api/generate',
    body: (model, question, { temperature, ...more } = {}) => ({
      model,
      prompt: question,
      ...(temperature === undefined ? {} : { options: { temperature } }),
      ...more,
    }),
    told: native('response'),
  },
  '/v1/chat/completions': {
    path: '/v1/chat/completions',
    body: (model, question, more = {}) => ({
      model,
      stream: true,
      messages: asked(question),
      ...more,
    }),
    told: ({ text }) => chunks(text),
  },
  '/v1/completions': {
    path: '/v1/completions',
    body: (model, question, more = {}) => ({ model, stream: true, prompt: question, ...more }),
    told: ({ text }) => chunks(text),
  },
  '/v1/messages': {
    path: '/v1/messages',
    body: (model, question, more = {}) => ({
      model,
      stream: true,
      max_tokens: 500,
      messages: asked(question),
      ...more,
    }),
    told: ({ text }) =>
      toldBy(eventsIn(text) as Fields[], (event) => ({
        text: textAt(event, 'delta', 'text') + textAt(event, 'content_block', 'text'),
        thinking: textAt(event, 'delta', 'thinking') + textAt(event, 'content_block', 'thinking'),
        end: event['type'] === 'message_stop',
        error: event['type'] === 'error' ? textAt(event, 'error', 'message') : '',
      })),
  },
  '/v1/responses': {
    path: '/v1/responses',
    body: (model, question, more = {}) => ({ model, stream: true, input: question, ...more }),
    told: ({ text }) =>
      toldBy(eventsIn(text) as Fields[], (event) => ({
        text: event['type'] === 'response.output_text.delta' ? textAt(event, 'delta') : '',
        thinking:
          event['type'] === 'response.reasoning_summary_text.delta' ? textAt(event, 'delta') : '',
        end: event['type'] === 'response.completed',
        error: event['type'] === 'error' ? textAt(event, 'error', 'message') : '',
      })),
  },
}

export async function tell(
  url: string,
  route: Route,
  body: object,
  headers: CallOptions['headers'] = {},
): Promise<Told & { answer: WholeAnswer }> {
  const answer = await wholeCall(url + route.path, { body, headers })
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`)
  return { ...route.told(answer), answer }
}
