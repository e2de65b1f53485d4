import { describe, expect, it } from 'vitest'
import type { Emitted } from '../../../src/dialects/continuing/continuing.ts'
import { exactness } from '../../../src/proxy/continuing/exactness.ts'
import { restart, type Way } from '../../../src/proxy/continuing/manner.ts'
import {
  type BrokenAnswer,
  mayContinue,
  placeOf,
} from '../../../src/proxy/continuing/may-continue.ts'
import { type RequestFacts, requestFacts } from '../../../src/proxy/continuing/request-facts.ts'

const trailing: Way = { method: 'trailing', manner: 'exact' }
const raw: Way = { method: 'raw', manner: 'exact' }
const guess: Way = { method: 'trailing', manner: 'unknown', checkRendering: true }

const plainEmitted: Emitted = {
  text: 'The sky is',
  thinking: '',
  pieces: 3,
  repeats: false,
  bar: undefined,
  opening: {},
}

const factsOf = (body: object, family: 'ollama' | 'openai' | 'anthropic' = 'ollama') =>
  requestFacts(family, Buffer.from(JSON.stringify(body)))!

interface Given extends Partial<Omit<BrokenAnswer, 'emitted' | 'request'>> {
  readonly emitted?: Partial<Emitted>
  readonly request?: Partial<RequestFacts>
}

function decide({ emitted, request, ...more }: Given = {}) {
  return mayContinue({
    family: 'ollama',
    op: 'chat',
    request: { ...factsOf({}), ...request },
    emitted: { ...plainEmitted, ...emitted },
    trigger: { kind: 'broke', text: 'reset' },
    laterLegs: 0,
    context: { tokensMax: 4_096, promptTokens: 100 },
    setting: 'on',
    wish: undefined,
    ways: [trailing, raw, restart],
    ...more,
  })
}

const go = (...ways: Way[]) => ({ go: ways })
const stop = (rule: string | undefined, code = 'answer_cut') =>
  expect.objectContaining({ stop: expect.any(String), code, rule })

describe('an answer that broke off', () => {
  it('goes on by default when it is plain text without a seed, and is not asked again from the beginning', () => {
    expect(decide()).toEqual(go(trailing, raw))
  })

  it('may be asked again from the beginning at temperature 0, last', () => {
    expect(decide({ request: { temperature: 0 } })).toEqual(go(trailing, raw, restart))
    expect(decide({ request: { temperature: 0, seed: 5 } })).toEqual(go(trailing, raw, restart))
    expect(decide({ request: { topK: 1 } })).toEqual(go(trailing, raw, restart))
  })

  it('with a seed goes on only when the request says so, and then first in the one way that keeps the seed', () => {
    const seeded = { seed: 5, temperature: 0.7 }
    expect(decide({ request: seeded })).toEqual(stop('seeded'))
    expect(decide({ request: seeded, wish: 'on' })).toEqual(go(restart, trailing, raw))
  })

  it('heeds both switches, and the request can not overrule the operator', () => {
    expect(decide({ setting: 'off', wish: 'on' })).toEqual(stop(undefined))
    expect(decide({ wish: 'off' })).toEqual(stop(undefined))
  })

  it('is ended honestly when its model only repeated itself', () => {
    const emitted = { repeats: true }
    expect(decide({ emitted, trigger: { kind: 'ended' } })).toEqual(stop('repeats', 'repeat_guard'))
    expect(decide({ emitted })).toEqual(go(trailing, raw))
    expect(decide({ trigger: { kind: 'ended' } })).toEqual(go(trailing, raw))
  })

  it('moves three times at most', () => {
    expect(decide({ laterLegs: 2 })).toEqual(go(trailing, raw))
    expect(decide({ laterLegs: 3 })).toEqual(stop('oftenMoved'))
  })

  it('does not go on with a tool call begun, or with what could not be read', () => {
    expect(decide({ emitted: { bar: 'toolCall' } })).toEqual(stop('tools'))
    expect(decide({ emitted: { bar: 'unreadable' } })).toEqual(stop(undefined))
  })

  it('is asked again as a whole where the client has nothing of it, whatever it is', () => {
    const emitted = { text: '', pieces: 0 }
    const request = { hasFormat: true, hasTools: true }
    expect(decide({ emitted, request, ways: undefined })).toEqual(go(restart))
  })

  it('does not go on inside a document with a format', () => {
    expect(decide({ request: { hasFormat: true } })).toEqual(stop('format'))
    expect(decide({ request: { hasFormat: true, temperature: 0 } })).toEqual(go(restart))
    const request = { hasSuffix: true, temperature: 0 }
    expect(decide({ op: 'generate', request })).toEqual(go(restart))
    expect(decide({ op: 'generate', request: { hasSuffix: true } })).toEqual(stop('insertion'))
  })

  it('goes by no raw prompt where tools or pictures are', () => {
    expect(decide({ request: { hasTools: true } })).toEqual(go(trailing))
    expect(decide({ request: { hasImages: true } })).toEqual(go(trailing))
    expect(decide({ request: { hasLogprobs: true } })).toEqual(go(trailing, raw))
    expect(decide({ request: { hasTokens: true }, op: 'generate' })).toEqual(stop('restarted'))
  })

  it('must fit into the context with its rest', () => {
    const nearly = { tokensMax: 4_096, promptTokens: 4_096 - 3 - 255 }
    expect(decide({ context: nearly })).toEqual(stop('contextFull'))
    expect(decide({ context: { ...nearly, promptTokens: nearly.promptTokens - 1 } })).toEqual(
      go(trailing, raw),
    )
    expect(decide({ context: nearly, request: { outputTokensMax: 20 } })).toEqual(go(trailing, raw))
    // A limit as large as the context does not mean an answer as large.
    expect(decide({ request: { outputTokensMax: 4_096 } })).toEqual(go(trailing, raw))
    expect(decide({ context: { ...nearly, tokensMax: undefined } })).toEqual(go(trailing, raw))
  })

  it('is kept up to 1 MiB', () => {
    expect(decide({ emitted: { text: 'a'.repeat(1_048_576) } })).toEqual(go(trailing, raw))
    expect(decide({ emitted: { text: 'a'.repeat(1_048_577) } })).toEqual(stop('long'))
    expect(decide({ emitted: { text: '天'.repeat(350_000) } })).toEqual(stop('long'))
  })

  it('of a model not measured yet goes on by a guess, and by asking again where that proves itself', () => {
    expect(decide({ ways: undefined })).toEqual(go(guess))
    expect(decide({ ways: undefined, request: { temperature: 0 } })).toEqual(go(restart, guess))
    expect(decide({ ways: undefined, request: { isRaw: true }, op: 'generate' })).toEqual(
      go({ method: 'raw', manner: 'unknown' }),
    )
    expect(decide({ ways: undefined, emitted: { text: ' \n' } })).toEqual(stop('restarted'))
  })

  it('of a model that can not go on ends, but for a restart', () => {
    expect(decide({ ways: [] })).toEqual(stop('restarted'))
    expect(decide({ ways: [restart] })).toEqual(stop('restarted'))
    expect(decide({ ways: [restart], request: { temperature: 0 } })).toEqual(go(restart))
    expect(decide({ ways: [], request: { temperature: 0 } })).toEqual(stop('restarted'))
  })

  it('is not gone on with where the operation has no text, or its request can not be read', () => {
    expect(decide({ op: 'embed' })).toEqual(stop(undefined))
    const unread: BrokenAnswer = {
      family: 'ollama',
      op: 'chat',
      request: undefined,
      emitted: plainEmitted,
      trigger: { kind: 'drained' },
      laterLegs: 0,
      context: { tokensMax: undefined, promptTokens: undefined },
      setting: 'on',
      wish: undefined,
      ways: [trailing],
    }
    expect(mayContinue(unread)).toEqual(stop(undefined))
  })

  it('broke off in a place for which there are measurements of its own', () => {
    expect(placeOf(plainEmitted, factsOf({}))).toBe('plain')
    expect(placeOf({ text: '\n', thinking: 'Hm' }, factsOf({}))).toBe('thought')
    expect(placeOf({ text: 'The', thinking: 'Hm' }, factsOf({}))).toBe('afterThought')
    expect(placeOf(plainEmitted, factsOf({ raw: true }))).toBe('raw')
  })
})

describe('the table of exactness', () => {
  it('has a case and whole sentences in every row', () => {
    for (const row of Object.values(exactness)) {
      expect(row.case).not.toBe('')
      expect(row.guarantee).toMatch(/^[A-Z].*\.$/)
    }
  })
})

describe('what a request says', () => {
  const nothing = factsOf({})

  it('is read in Ollama’s own language', () => {
    const options = { temperature: 0, seed: 3, top_k: 1, num_predict: 40, num_ctx: 512 }
    expect(factsOf({ options, raw: true, suffix: 'x', context: [1], format: 'json' })).toEqual({
      temperature: 0,
      seed: 3,
      topK: 1,
      outputTokensMax: 40,
      contextTokens: 512,
      hasFormat: true,
      hasTools: false,
      hasLogprobs: false,
      hasImages: false,
      hasSuffix: true,
      hasTokens: true,
      isRaw: true,
    })
    expect(factsOf({ options: { seed: -1, num_predict: -1 }, format: '', tools: [] })).toEqual(
      nothing,
    )
    // What stands beside the options is not Ollama's.
    expect(factsOf({ temperature: 0, seed: 3 })).toEqual(nothing)
    expect(factsOf({ Options: { SEED: 4 } }).seed).toBe(4)
    expect(factsOf({ messages: [{ role: 'user', images: ['x'] }] }).hasImages).toBe(true)
    expect(factsOf({ images: ['x'], logprobs: true })).toMatchObject({
      hasImages: true,
      hasLogprobs: true,
    })
  })

  it('is read in the two others', () => {
    const image = [{ role: 'user', content: [{ type: 'text' }, { type: 'image_url' }] }]
    expect(
      factsOf({ temperature: 0, seed: 0, max_tokens: 9, tools: [{}], messages: image }, 'openai'),
    ).toMatchObject({
      temperature: 0,
      seed: 0,
      outputTokensMax: 9,
      hasTools: true,
      hasImages: true,
    })
    expect(factsOf({ response_format: { type: 'json_object' } }, 'openai').hasFormat).toBe(true)
    expect(factsOf({ text: { format: { type: 'json_schema' } } }, 'openai').hasFormat).toBe(true)
    expect(factsOf({ text: { format: { type: 'text' } } }, 'openai').hasFormat).toBe(false)
    expect(factsOf({ input: [{ content: [{ type: 'input_image' }] }] }, 'openai').hasImages).toBe(
      true,
    )
    expect(factsOf({ max_output_tokens: 7 }, 'openai').outputTokensMax).toBe(7)
    expect(factsOf({ logprobs: 3 }, 'openai').hasLogprobs).toBe(true)
    expect(factsOf({ max_tokens: 5, temperature: 1 }, 'anthropic')).toMatchObject({
      outputTokensMax: 5,
      temperature: 1,
    })
    expect(factsOf({ raw: true, context: [1] }, 'openai')).toEqual(nothing)
  })

  it('is unknown where it is no object', () => {
    expect(requestFacts('ollama', Buffer.from('[1]'))).toBeUndefined()
    expect(requestFacts('ollama', Buffer.from('{'))).toBeUndefined()
  })
})
