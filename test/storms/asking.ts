import { ModelStore } from '../../backends/simulator/models.ts'
import { planAnswer, turn } from '../../backends/simulator/plan.ts'
import { defaultSettings, type SimulatorSettings } from '../../backends/simulator/settings.ts'
import { embeddingOf } from '../../backends/simulator/text.ts'
import { realClock } from '../../src/core/clock.ts'
import { joined } from '../journeys/split-fleet.ts'
import { type Errand, models } from './script.ts'

/** Of every backend of a storm: quick, and with answers of a few words. */
export const simulated: Partial<SimulatorSettings> = {
  models,
  slots: 8,
  maxLoaded: 4,
  loadMs: 20,
  answerTokens: 6,
  decodeTokensPerSecond: 4_000,
  prefillTokensPerSecond: 1e7,
  contextDefault: 32_768,
  embeddingLengthDefault: 24,
  traceMax: 100,
  traceBodyBytes: 0,
}

const settings: SimulatorSettings = { ...defaultSettings, ...simulated }
const store = new ModelStore(settings, realClock())

/** What each part of the errand asks, as the model reads it. */
function promptsOf({ way, texts, padChars }: Errand): string[] {
  // The cut leaves each line its end; the last one has none.
  if (way === 'split' || way === 'parts')
    return texts.map((text, index) => (index < texts.length - 1 ? `${text}\n` : text))
  return texts.map((text) => (padChars === 0 ? text : `${text} ${'pad '.repeat(padChars / 4)}`))
}

/** The one right text, said without asking anybody. */
export function rightText(errand: Errand): string {
  const { model, temperature, tokens } = errand
  const stored = store.find(model)!
  const said = promptsOf(errand).map((prompt) =>
    planAnswer(
      {
        turns: [turn('user', prompt)],
        raw: undefined,
        before: '',
        tools: [],
        format: undefined,
        think: false,
        seed: undefined,
        temperature,
        numPredict: tokens ?? (errand.way === '/v1/messages' ? messagesTokens : -1),
        stop: [],
        logprobs: undefined,
      },
      stored,
      settings,
      settings.contextDefault,
    ).content.join(''),
  )
  return joined(said)
}

export function rightVectors({ model, texts }: Errand): number[][] {
  const { weights, embeddingLength } = store.find(model)!
  return texts.map((text) => embeddingOf(weights, text, embeddingLength))
}

/** That route wants a number. */
const messagesTokens = 50

export interface Asked {
  readonly head: string
  readonly body: string
}

export function requestOf(errand: Errand, host: string): Asked {
  const { id, way, closes, stays } = errand
  const close = closes ? 'Connection: close\r\n' : ''
  const stay = stays ? 'X-Chasqui-Continue: off\r\n' : ''
  const common = `Host: ${host}\r\nX-Request-Id: ${id}\r\n${close}${stay}`
  if (way === 'list') {
    const lists = ['/api/tags', '/api/ps', '/api/version', '/v1/models', '/queue-status', '/readyz']
    const list = lists[id.charCodeAt(id.length - 1) % lists.length]!
    return { head: `GET ${list} HTTP/1.1\r\n${common}\r\n`, body: '' }
  }
  const path = way === 'split' ? '/generate' : way === 'parts' ? '/api/generate' : way
  const body = bodyOf(errand)
  const cut = way === 'parts' ? 'X-Chasqui-Split: by=lines; size=1\r\n' : ''
  const wishes = way === 'parts' || way === 'split' ? cutWishes(errand) : ''
  const type = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  return { head: `POST ${path} HTTP/1.1\r\n${common}${cut}${wishes}${type}\r\n`, body }
}

/** A line that never ends is served before a batch; whoever is one has a deadline, and half of them are none. */
function cutWishes({ stream }: Errand): string {
  return `X-Chasqui-Deadline: 20s\r\n${stream ? 'X-Chasqui-Priority: normal\r\n' : ''}`
}

function bodyOf(errand: Errand): string {
  const { flaw, way, stream, temperature, tokens } = errand
  if (flaw === 'no JSON') return '{"model": "steady", "prompt": "never'
  const model = flaw === 'no such model' ? 'nobody-has-this' : errand.model
  const text = promptsOf(errand).join('')
  const most = <Name extends string>(name: Name) => (tokens === undefined ? {} : { [name]: tokens })
  const options = { temperature, ...most('num_predict') }
  const messages = [{ role: 'user', content: text }]
  switch (way) {
    case '/api/chat':
      return JSON.stringify({ model, messages, stream, options })
    case '/api/generate':
    case 'parts':
    case '/generate':
      return JSON.stringify({ model, prompt: text, stream, options })
    case 'split':
      return JSON.stringify({
        model,
        input: text,
        split: { by: 'lines', size: 1 },
        stream,
        options,
      })
    case '/v1/chat/completions':
      return JSON.stringify({ model, messages, stream, temperature, ...most('max_tokens') })
    case '/v1/completions':
      return JSON.stringify({ model, prompt: text, stream, temperature, ...most('max_tokens') })
    case '/v1/messages':
      return JSON.stringify({
        model,
        messages,
        stream,
        temperature,
        max_tokens: tokens ?? messagesTokens,
      })
    case '/v1/responses':
      return JSON.stringify({
        model,
        input: text,
        stream,
        temperature,
        ...most('max_output_tokens'),
      })
    default:
      return JSON.stringify({ model, input: errand.texts })
  }
}
