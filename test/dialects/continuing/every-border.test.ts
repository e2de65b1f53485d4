/** An answer that is cut at any border of two frames and gone on with elsewhere is the answer that never broke. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Simulator } from '../../../backends/simulator/server.ts'
import type { Method } from '../../../src/dialects/continuing/continuing.ts'
import { figuresLeftOut, joinedEqual, outputCountIn, promptCountIn, rawAnswer } from './compare.ts'
import {
  continuing,
  fastSimulator,
  framesIn,
  goOn,
  type Json,
  type Kind,
  kinds,
  nameIn,
  post,
  saysIn,
} from './harness.ts'

let simulator: Simulator
beforeAll(async () => {
  simulator = await fastSimulator()
})
afterAll(() => simulator.close())

interface Case {
  readonly kind: Kind
  readonly title: string
  readonly more: Json
  readonly methods: readonly Method[]
}

const usage = { stream_options: { include_usage: true } }
const probable = { logprobs: true, top_logprobs: 2 }
const all: readonly Method[] = ['trailing', 'restart', 'raw']
const thinks = { model: 'qwen3' }
const spoken: readonly Method[] = ['trailing', 'restart']

const cases: readonly Case[] = [
  { kind: kinds.chat, title: 'text', more: {}, methods: all },
  { kind: kinds.chat, title: 'probabilities', more: probable, methods: all },
  { kind: kinds.chat, title: 'a limit', more: { options: { num_predict: 13 } }, methods: all },
  { kind: kinds.chat, title: 'a stop string', more: { options: { stop: ['.'] } }, methods: all },
  { kind: kinds.chat, title: 'thoughts', more: thinks, methods: spoken },
  { kind: kinds.generate, title: 'text', more: {}, methods: all },
  {
    kind: kinds.generate,
    title: 'a raw prompt',
    more: { raw: true, system: '' },
    methods: ['raw'],
  },
  { kind: kinds.generate, title: 'a limit', more: { options: { num_predict: 13 } }, methods: all },
  { kind: kinds.generate, title: 'thoughts', more: thinks, methods: spoken },
  { kind: kinds.openai, title: 'text', more: {}, methods: all },
  { kind: kinds.openai, title: 'all figures', more: { ...usage, ...probable }, methods: all },
  { kind: kinds.openai, title: 'a limit', more: { ...usage, max_tokens: 13 }, methods: all },
  { kind: kinds.openai, title: 'thoughts', more: { ...thinks, ...usage }, methods: spoken },
  { kind: kinds.completions, title: 'text', more: {}, methods: all },
  { kind: kinds.completions, title: 'a usage', more: usage, methods: all },
  { kind: kinds.completions, title: 'a limit', more: { max_tokens: 13 }, methods: all },
  { kind: kinds.completions, title: 'a model that thinks', more: thinks, methods: spoken },
  { kind: kinds.messages, title: 'text', more: {}, methods: all },
  { kind: kinds.messages, title: 'a limit', more: { max_tokens: 13 }, methods: all },
  { kind: kinds.messages, title: 'thoughts', more: thinks, methods: spoken },
  { kind: kinds.responses, title: 'text', more: {}, methods: all },
  { kind: kinds.responses, title: 'a limit', more: { max_output_tokens: 13 }, methods: all },
  { kind: kinds.responses, title: 'thoughts', more: thinks, methods: spoken },
]

describe.each(cases)('$kind.name, $title', ({ kind, more, methods }) => {
  it.each(methods)('goes on at every border by %s', { timeout: 60_000 }, async (method) => {
    const body = kind.body('Why is the sky blue?', more)
    const original = { body: Buffer.from(JSON.stringify(body)) }
    const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
    expect(whole.length).toBeGreaterThan(12)
    let tried = 0
    for (let cut = 1; cut < whole.length; cut++) {
      const had = whole.slice(0, cut)
      const emitted = continuing(kind).read(had)
      expect(emitted.bar).toBeUndefined()
      const missing = continuing(kind).missing(original, emitted)
      if (missing !== undefined) {
        expect(Buffer.concat([...had, missing])).toEqual(Buffer.concat(whole))
        continue
      }
      // Whether there will be thoughts is not known yet.
      if (method === 'raw' && emitted.text === '') continue
      tried++
      const gone = await goOn(simulator, kind, body, had, {
        method,
        rendered: 'rendered: ',
        ...(method === 'raw' && more['raw'] !== true ? { answer: rawAnswer(whole, cut) } : {}),
        ...(kind === kinds.responses && method === 'trailing' && more === thinks
          ? { answer: (heard: Buffer[]) => thoughtful(heard, whole, cut) }
          : {}),
      })
      const joined = [...had, ...gone.frames]
      const where = `${kind.name} cut at ${cut}`
      joinedEqual(joined, whole, where, method === 'restart' ? [] : figuresLeftOut)
      expect(gone.end, where).toEqual({ kind: 'done' })
      expect(gone.over).toBe(true)
      expect(outputCountIn(joined)).toBe(outputCountIn(whole))
      if (method === 'restart') continue
      const last = promptCountIn(gone.heard) ?? 0
      const told = promptCountIn(gone.frames)
      if (told !== undefined) expect(told).toBe(Math.max(0, last - gone.emitted.pieces))
    }
    expect(tried).toBeGreaterThan(10)
  })
})

/**
 * The simulator takes an item of reasoning for a turn of its own, so it can not be asked for the rest of a thought.
 * This is what Ollama answers: the same items, without what was said before and with names of its own.
 */
function thoughtful(heard: Buffer[], whole: readonly Buffer[], cut: number): readonly Buffer[] {
  const isThought = (frame: Buffer) => nameIn(frame).startsWith('response.reasoning')
  const pondered = whole.slice(0, cut).filter(isThought).length
  const allPondered = whole.slice(cut).every((frame) => !isThought(frame))
  const rest = whole.filter((frame, at) => {
    const said = saysIn(frame) as Json
    if (nameIn(frame).endsWith('.delta')) return at >= cut
    return !(allPondered && pondered > 0 && said['output_index'] === 0)
  })
  const last = heard.find((frame) => nameIn(frame) === 'response.completed')!
  const tokens = rest.filter((frame) => nameIn(frame).endsWith('.delta')).length
  return [...rest.slice(0, -1), last].map((frame) =>
    Buffer.from(
      frame
        .toString('utf8')
        .replace(/"(msg|rs|resp)_/g, '"$1_9')
        .replace(/"output_tokens":\d+/, `"output_tokens":${tokens}`),
    ),
  )
}
