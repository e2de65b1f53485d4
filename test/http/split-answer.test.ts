import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import { SplitAnswer, type SplitAnswerOptions } from '../../src/http/split-answer.ts'
import type { SplitResult } from '../../src/split/order.ts'
import { scratchFolder } from '../help/scratch.ts'
import { recordingClient } from '../proxy/help.ts'
import { spoolIn } from '../split/spool.ts'

const result: SplitResult = {
  report: {
    parts: 2,
    by: 'lines',
    combine: 'concat',
    backends: { a: 2 },
    wall_ms: 10,
    work_ms: 20,
    speedup: 2,
    retried: 0,
    hedged: 0,
    failed: [],
  },
  figures: {
    totalNs: 1,
    loadNs: 2,
    promptTokens: 3,
    promptNs: 4,
    outputTokens: 5,
    outputNs: 6,
  },
  doneReason: 'length',
}
const last = {
  model: 'M',
  created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  done: true,
  done_reason: 'length',
  total_duration: 1,
  load_duration: 2,
  prompt_eval_count: 3,
  prompt_eval_duration: 4,
  eval_count: 5,
  eval_duration: 6,
  split: result.report,
}
const pieces = ['a "quoted" \\ piece\n', 'é😀\u2028', '\u0000\u0001', '', '$& more']

function answerFor(more: Partial<SplitAnswerOptions> = {}) {
  const folder = scratchFolder()
  const client = recordingClient()
  const answer = new SplitAnswer(client, {
    form: 'lines',
    shape: 'generate',
    model: 'M',
    family: 'own',
    headers: ['X-Request-Id', 'id'],
    openSpool: spoolIn(folder.path),
    ...more,
  })
  return { client, answer, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

describe('the answer of a run', () => {
  it('is one object with the whole text in it, which begins only when all of it is there', async () => {
    using set = answerFor({ form: 'whole' })
    const { client, answer } = set
    for (const piece of pieces) await answer.text(piece)
    answer.event({ kind: 'planned', parts: 2, by: 'lines' })
    expect(answer.started).toBe(false)
    await answer.end(result)
    expect(client).toMatchObject({ status: 200, how: 'ended' })
    expect(client.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-request-id': 'id',
    })
    expect(JSON.parse(client.text())).toEqual({ ...last, response: pieces.join('') })
  })

  it('is a message in the shape of a chat', async () => {
    using set = answerFor({ form: 'whole', shape: 'chat' })
    const { client, answer } = set
    await answer.text('hello')
    await answer.end(result)
    const message = { role: 'assistant', content: 'hello' }
    expect(JSON.parse(client.text())).toEqual({ ...last, message })
  })

  it('is a line a piece, the last one with the figures', async () => {
    using set = answerFor()
    const { client, answer } = set
    for (const piece of pieces) await answer.text(piece)
    answer.event({ kind: 'planned', parts: 2, by: 'lines' })
    await answer.end(result)
    const lines = client.text().split('\n')
    expect(lines.pop()).toBe('')
    const read = lines.map((line) => JSON.parse(line) as { response: string; done: boolean })
    expect(read.slice(0, -1).map(({ response }) => response)).toEqual(pieces)
    expect(read.slice(0, -1).every(({ done }) => !done)).toBe(true)
    expect(read.at(-1)).toEqual({ ...last, response: '' })
  })

  it('waits for a client that reads slowly, but not for one that has left', async () => {
    using set = answerFor()
    const { client, answer } = set
    let taken = 0
    const give = async () => {
      await answer.text('piece')
      taken++
    }
    const settled = () => new Promise(setImmediate)
    client.stall()
    void give()
    await settled()
    expect(taken).toBe(0)
    client.drain()
    await settled()
    expect(taken).toBe(1)
    client.stall()
    void give()
    await settled()
    expect(taken).toBe(1)
    client.leave()
    await settled()
    expect(taken).toBe(2)
    await answer.text('nobody hears it')
    expect(client.text()).not.toContain('nobody')
  })
})

describe('an answer that breaks off', () => {
  const failure = new Failure('part_failed', 'part 3 failed')

  it('ends with one line of error in the words of its family', () => {
    using own = answerFor()
    void own.answer.text('piece')
    own.answer.fail(failure)
    const [, line] = own.client.text().trim().split('\n')
    expect(JSON.parse(line!)).toMatchObject({ error: 'part 3 failed', code: 'part_failed' })
    using ollama = answerFor({ family: 'ollama' })
    void ollama.answer.text('piece')
    ollama.answer.fail(failure)
    expect(JSON.parse(ollama.client.text().trim().split('\n')[1]!)).toMatchObject({
      error: 'part 3 failed',
    })
  })

  it('ends with an event where events were asked for', () => {
    using set = answerFor({ form: 'events' })
    set.answer.event({ kind: 'planned', parts: 2, by: 'lines' })
    set.answer.fail(failure)
    const [first, second] = set.client.text().split('\n\n')
    expect(first).toBe('event: planned\ndata: {"parts":2,"by":"lines"}')
    expect(second).toMatch(/^(event: \w+\n)?data: \{.*part 3 failed.*\}/)
  })

  it('is visibly cut where one object had begun', () => {
    using set = answerFor({ form: 'whole' })
    set.answer.fail(failure)
    expect(set.client.how).toBe('cut')
  })
})
