import { Ollama } from 'ollama'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Fleet } from '../help/fleet.ts'
import { gather } from '../help/gather.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { blind, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'
import { answer, startFakes } from './split-fakes.ts'
import {
  askSplit,
  joined,
  linesOf,
  promptsOf,
  type SplitAnswerFields,
  seats,
  streamSplit,
  textsFor,
  worked,
  workedAll,
} from './split-fleet.ts'

/** Lines of very unequal length, so that parts take unequal time. */
const lines = linesOf(48).map((line, index) => line + ' and more of it'.repeat((index * 7) % 11))
const input = lines.join('\n')
/** Two lines a part; each part has its line end, the last one not. */
const parts = Array.from({ length: 24 }, (_, index) => {
  const text = lines.slice(2 * index, 2 * index + 2).join('\n')
  return index < 23 ? `${text}\n` : text
})
const split = { by: 'lines', size: 2 }

/** Short answers, but in sentences of their own. */
const options = { num_predict: 12 }

let fleet: Fleet
let texts: readonly string[]
beforeAll(async () => {
  fleet = await warmFleet({
    // Twelve to one, so that they can not finish in order.
    simulators: [
      { slots: 2, decodeTokensPerSecond: 1_200, answerTokens: undefined },
      { slots: 1, decodeTokensPerSecond: 100, answerTokens: undefined },
      { slots: 1, decodeTokensPerSecond: 600, answerTokens: undefined },
    ],
    config: blind,
    backend: seats(2, 1, 1),
  })
  texts = await textsFor(fleet.simulators[0]!, parts, { options })
})
afterAll(() => fleet[Symbol.asyncDispose]())
beforeEach(() => {
  for (const each of fleet.simulators) each.clearTrace()
})

describe('concat', () => {
  it('answers in the order of the input, whatever order the parts are finished in', async () => {
    const { status, fields } = await askSplit(fleet.url, { input, split, options })
    expect(status).toBe(200)
    const ends = new Map(
      workedAll(fleet)
        .filter(({ cancelReason }) => cancelReason === undefined)
        .map(({ bodyText, endWall }) => [JSON.parse(bodyText!).prompt as string, endWall!]),
    )
    const inOrder = parts.map((part) => ends.get(part)!)
    expect(inOrder).not.toEqual(inOrder.toSorted((one, other) => one - other))
    expect(fields.response).toBe(joined(texts))
  })

  it('lets a stream out in the same order, and the same in all as without one', async () => {
    const whole = await askSplit(fleet.url, { input, split, options })
    const streamed = await streamSplit(fleet.url, { input, split, options })
    expect(streamed.headers['content-type']).toBe('application/x-ndjson')
    expect(streamed.text).toBe(whole.fields.response)
    expect(streamed.pieces).toHaveLength(24)
    expect(streamed.last).toMatchObject({
      model,
      response: '',
      done: true,
      done_reason: whole.fields.done_reason,
      eval_count: whole.fields.eval_count,
      split: { parts: 24, by: 'lines', combine: 'concat' },
    })
  })

  it('lets a piece out as soon as all before it are there, and no sooner', async () => {
    const held = new Map<string, () => void>()
    await using fakes = await startFakes(
      [
        (prompt) =>
          /[36]/.test(prompt)
            ? (response) => void held.set(prompt.trim(), () => answer(response, prompt))
            : prompt,
      ],
      { slots: 8 },
    )
    const body = { model, input: linesOf(6).join('\n'), split: { size: 1 }, stream: true }
    const call = openCall(`${fakes.url}/generate`, { body })
    const { pool } = fakes.fleet.app
    // Only the two that are held are still under way.
    await until(() => held.size === 2 && pool.endpoints[0]!.inFlight === 2)
    await until(() => call.lines().length === 2)
    held.get('line 3')!()
    await until(() => call.lines().length === 5)
    held.get('line 6')!()
    await call.ended
    const said = call.lines().map((line) => (JSON.parse(line) as SplitAnswerFields).response)
    expect(said).toEqual(['line 1\n', 'line 2\n', 'line 3\n', 'line 4\n', 'line 5\n', 'line 6', ''])
  })

  it('sets what it is told between two answers, and nothing else', async () => {
    const combine = { by: 'concat', with: '\n---\n' }
    const { fields } = await askSplit(fleet.url, { input, split, options, combine })
    expect(fields.response).toBe(texts.join('\n---\n'))
    const bare = { by: 'concat', with: '' }
    const { text } = await streamSplit(fleet.url, { input, split, options, combine: bare })
    expect(text).toBe(texts.join(''))
  })

  it('takes an array an item a part', async () => {
    const items = ['first', { second: [2] }, 3, 'fourth\n']
    const { fields } = await askSplit(fleet.url, { input: items, split: true, options })
    // A part that is begun a second time elsewhere is seen twice.
    expect(new Set(promptsOf(fleet))).toEqual(new Set(['first', '{"second":[2]}', '3', 'fourth\n']))
    expect(fields.split).toMatchObject({ parts: 4, by: 'items' })
  })
})

describe('the report', () => {
  it('is true: parts by backend, sums of the counts, times and what happened', async () => {
    const { fields } = await askSplit(fleet.url, { input, split, options })
    await untilIdle(fleet)
    const { split: report } = fields
    const done = workedAll(fleet).filter(({ cancelReason }) => cancelReason === undefined)
    // A part that was begun twice may be finished twice; once it counts.
    const once = [...new Map(done.map((entry) => [entry.bodyText, entry])).values()]
    expect(once).toHaveLength(24)
    const sum = (of: 'promptTokens' | 'outputTokens') =>
      once.reduce((total, entry) => total + (entry[of] ?? 0), 0)
    expect(fields.eval_count).toBe(sum('outputTokens'))
    expect(fields.prompt_eval_count).toBe(sum('promptTokens'))
    expect(Object.values(report.backends).reduce((all, each) => all + each, 0)).toBe(24)
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      const here = worked(fleet.simulators[index]!).filter((entry) => done.includes(entry)).length
      expect(report.backends[name] ?? 0).toBeLessThanOrEqual(here)
      expect(report.backends[name] ?? 0).toBeGreaterThanOrEqual(here - (done.length - 24))
    }
    expect(report.hedged).toBe(workedAll(fleet).length - 24)
    expect(fields.done_reason).toBe('length')
    expect(report).toMatchObject({ parts: 24, retried: 0, failed: [] })
    expect(report.work_ms).toBeGreaterThan(report.wall_ms)
    expect(report.speedup).toBeCloseTo(report.work_ms / report.wall_ms, 1)
    expect(report.speedup).toBeLessThanOrEqual(4.1)
    const { ended } = fleet
    expect(ended.at(-1)).toMatchObject({ op: 'generate', ending: 'ok', status: 200 })
  })

  it('names what was tried again, and where it failed in the end', async () => {
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'status', status: 500, text: 'out of luck', count: 1 })
    const { fields } = await askSplit(fleet.url, { input, split, options })
    a!.faults.clear()
    expect(fields.split.failed).toEqual([])
    expect(fields.response).toBe(joined(texts))
  })
})

describe('the form of events', () => {
  it('tells of the plan, of every part, and of each piece of the answer', async () => {
    const { headers, text } = await wholeCall(`${fleet.url}/generate`, {
      body: { model, input, split, options, stream: true },
      headers: { accept: 'text/event-stream' },
    })
    expect(headers['content-type']).toBe('text/event-stream')
    const events = text
      .split('\n\n')
      .slice(0, -1)
      .map((block) => {
        const [, name = 'message', data = ''] = /^(?:event: (\w+)\n)?data: (.*)$/.exec(block) ?? []
        return { name, data: JSON.parse(data) as Record<string, unknown> }
      })
    expect(events[0]).toEqual({ name: 'planned', data: { parts: 24, by: 'lines' } })
    const turned = events.filter(({ name }) => name === 'part').map(({ data }) => data)
    const answered = turned.filter(({ state }) => state === 'answered')
    expect(new Set(answered.map(({ name }) => name)).size).toBe(24)
    expect(answered.map(({ done }) => done)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
    for (const each of answered)
      expect(each).toMatchObject({
        stage: 'map',
        backend: expect.stringMatching(/^[abc]$/),
        ms: expect.any(Number),
        parts: 24,
      })
    const messages = events.filter(({ name }) => name === 'message').map(({ data }) => data)
    const said = messages.map(({ response }) => response).join('')
    expect(said).toBe(joined(texts))
    expect(messages.at(-1)).toMatchObject({ done: true, split: { parts: 24 } })
  })
})

describe('on the native routes, with the real client of Ollama', () => {
  const client = () =>
    new Ollama({ host: fleet.url, headers: { 'X-Chasqui-Split': 'by=lines; size=2' } })

  it('generate answers whole, in the shape of Ollama', async () => {
    const answer = await client().generate({ model, prompt: input, options })
    expect(answer).toMatchObject({ model, done: true, done_reason: 'length' })
    expect(answer.response).toBe(joined(texts))
    expect((answer as unknown as SplitAnswerFields).split.parts).toBe(24)
  })

  it('generate streams pieces, in order', async () => {
    const stream = await client().generate({ model, prompt: input, options, stream: true })
    const chunks = await gather(stream)
    expect(chunks).toHaveLength(25)
    expect(chunks.map(({ response }) => response).join('')).toBe(joined(texts))
    expect(chunks.at(-1)).toMatchObject({ done: true, done_reason: 'length' })
  })

  it.each([false, true])(
    'chat cuts the last message of the user, and carries the others (stream: %s)',
    async (stream) => {
      const before = [
        { role: 'system', content: 'Answer briefly.' },
        { role: 'user', content: 'Hello.' },
        { role: 'assistant', content: 'Hello!' },
      ]
      const messages = [...before, { role: 'user', content: input }]
      const request = { model, messages, options }
      const chunks = stream
        ? await gather(await client().chat({ ...request, stream: true }))
        : [await client().chat(request)]
      expect(chunks.every(({ message }) => message.role === 'assistant')).toBe(true)
      expect(chunks.at(-1)).toMatchObject({ model, done: true, done_reason: 'length' })
      const asked = workedAll(fleet).map(
        ({ bodyText }) => JSON.parse(bodyText!) as { messages: typeof messages },
      )
      for (const each of asked) expect(each.messages.slice(0, -1)).toEqual(before)
      const cut = asked.map((each) => each.messages.at(-1)!.content)
      expect([...new Set(cut)].toSorted()).toEqual(parts.toSorted())
      const single = parts.map(async (part) => {
        const messages = [...before, { role: 'user', content: part }]
        const body = JSON.stringify({ ...request, messages, stream: false })
        const one = await fetch(`${fleet.simulators[0]!.url}/api/chat`, { method: 'POST', body })
        return ((await one.json()) as { message: { content: string } }).message.content
      })
      const said = chunks.map(({ message }) => message.content).join('')
      expect(said).toBe(joined(await Promise.all(single)))
    },
  )

  it('a header says how it is combined and what a failure means', async () => {
    const headers = { 'x-chasqui-split': 'by=lines; size=24; combine=vote; on_error=partial' }
    const body = { prompt: input, options, stream: false }
    const { fields } = await askSplit(fleet.url, body, { path: '/api/generate', headers })
    expect(fields.split).toMatchObject({ parts: 2, combine: 'vote' })
    expect(fields.split.combined).toMatchObject({ tie: expect.any(Array) })
  })

  it('without the header nothing is touched', async () => {
    const body = { prompt: input, options, stream: false }
    const { fields } = await askSplit(fleet.url, body, { path: '/api/generate' })
    expect(fields).not.toHaveProperty('split')
    expect(promptsOf(fleet)).toEqual([input])
  })
})
