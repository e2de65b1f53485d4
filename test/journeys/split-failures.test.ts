import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { Fault } from '../../backends/simulator/server.ts'
import { wholeCall } from '../help/open-call.ts'
import { blind, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'
import { answer, calm, fails, startFakes } from './split-fakes.ts'
import { askSplit, joined, linesOf, partsOf, seats, textsFor, workedAll } from './split-fleet.ts'

const split = { by: 'lines', size: 1 }
const lines = (count: number) => linesOf(count).join('\n')

const problem = (text: string) => JSON.parse(text) as { code: string; detail: string }
const third = (prompt: string) => prompt.trim() === 'line 3'
const noLuck = fails(500, 'no luck')

describe('a part that a backend fails', () => {
  it.each<[string, Fault]>([
    ['with an error', { kind: 'status', status: 500, text: 'out of luck' }],
    ['by dying before the first byte', { kind: 'reset' }],
    ['by dying in the middle of its answer', { kind: 'reset-after-chunks', chunks: 0 }],
    ['with an answer that is cut short', { kind: 'wrong-content-length' }],
    ['by being too busy', { kind: 'busy' }],
  ])('%s is answered by another', async (_name, fault) => {
    await using fleet = await warmFleet({ simulators: [{}, {}], config: calm })
    fleet.simulators[0]!.faults.add({ ...fault, count: 3 })
    const { status, fields } = await askSplit(fleet.url, { input: lines(20), split })
    expect(status).toBe(200)
    expect(fields.response).toBe(joined(await textsFor(fleet.simulators[1]!, partsOf(20))))
    expect(fields.split.failed).toEqual([])
  })

  it.each<[string, (response: ServerResponse) => void]>([
    ['that is no JSON', (response) => response.end('<html>gateway</html>')],
    ['that is half of one', (response) => response.end('{"response": "half of it", "do')],
    ['that is not done', (response) => response.end('{"response": "half of it", "done": false}')],
    ['that is empty', (response) => response.end()],
    ['that is a list', (response) => response.end('[]')],
  ])('with an answer %s is answered by another', async (_name, babble) => {
    await using fakes = await startFakes(
      [
        () => babble,
        (prompt) => (response) => setTimeout(() => answer(response, `<${prompt.trim()}>`), 5),
      ],
      { config: calm },
    )
    const { status, fields } = await askSplit(fakes.url, { input: lines(6), split })
    expect([status, fields]).toMatchObject([200, { split: { backends: { b: 6 }, failed: [] } }])
    expect(fields.response).toBe(
      linesOf(6)
        .map((line) => `<${line}>`)
        .join('\n'),
    )
    expect(fields.split.retried).toBeGreaterThan(0)
  })

  it('everywhere ends the run, and the error names the part', async () => {
    await using fakes = await startFakes(
      [1, 2].map(() => (prompt) => (third(prompt) ? noLuck : prompt)),
      { config: calm },
    )
    const body = { model, input: lines(300), split }
    const { status, text } = await wholeCall(`${fakes.url}/generate`, { body })
    expect([status, problem(text)]).toMatchObject([502, { code: 'part_failed' }])
    expect(problem(text).detail).toMatch(/^part 3 of 300 \(line 3\) failed: .*no luck/)
    expect(fakes.prompts.length).toBeLessThan(250)
    expect(fakes.fleet.ended.at(-1)).toMatchObject({ status: 502, code: 'part_failed' })
  })

  it('in the middle of a stream leaves the pieces before it and one line of error', async () => {
    await using fakes = await startFakes([(prompt) => (third(prompt) ? noLuck : prompt)], {
      config: calm,
    })
    const body = { model, input: lines(30), split, stream: true }
    const { status, lines: got, ended } = await wholeCall(`${fakes.url}/generate`, { body })
    expect([status, ended]).toEqual([200, 'clean'])
    expect(got.slice(0, -1).map((line) => JSON.parse(line))).toMatchObject([
      { response: 'line 1\n', done: false },
      { response: 'line 2\n', done: false },
    ])
    expect(JSON.parse(got.at(-1)!)).toMatchObject({
      error: expect.stringMatching(/^part 3 of 30 \(line 3\) failed: .*no luck/),
      code: 'part_failed',
    })
    await untilIdle(fakes.fleet)
    expect(fakes.fleet.ended.at(-1)).toMatchObject({ status: 502 })
  })

  it.each(['/api/generate', '/api/chat'])(
    'is one line in the words of Ollama on %s',
    async (path) => {
      const says = (prompt: string) => (third(prompt) ? noLuck : prompt)
      const chatting = { messages: [{ role: 'user', content: lines(5) }] }
      await using fakes = await startFakes([(_prompt, asked) => (asked > 2 ? noLuck : says('x'))], {
        config: calm,
        slots: 1,
      })
      const body = path === '/api/chat' ? { model, ...chatting } : { model, prompt: lines(5) }
      const headers = { 'x-chasqui-split': 'size=1; max_parallel=1' }
      const { lines: got } = await wholeCall(fakes.url + path, { body, headers })
      expect(got).toHaveLength(3)
      expect(Object.keys(JSON.parse(got[2]!))).toContain('error')
      expect((JSON.parse(got[2]!) as { error: string }).error).toMatch(/^part 3 of 5 \(line 3\)/)
    },
  )

  it('leaves a marked hole where it may, and is in the report', async () => {
    await using fakes = await startFakes([(prompt) => (third(prompt) ? noLuck : prompt)], {
      config: calm,
    })
    const body = { input: lines(5), split, on_error: 'partial' }
    const { status, fields } = await askSplit(fakes.url, body)
    expect(status).toBe(200)
    expect(fields.response).toBe(
      'line 1\nline 2\n[part 3 of 5 (line 3) is missing: no luck]\nline 4\nline 5',
    )
    expect(fields).toMatchObject({ done: true, split: { parts: 5, retried: 2, hedged: 0 } })
    expect(fields.split.failed).toEqual([{ part: 3, label: 'line 3', error: 'no luck' }])
    expect(fields.split.backends).toEqual({ a: 4 })
  })

  it('that is every part is no answer, even where holes may be', async () => {
    await using fakes = await startFakes([() => noLuck], { config: calm })
    const body = { model, input: lines(3), split, on_error: 'partial' }
    const { status, text } = await wholeCall(`${fakes.url}/generate`, { body })
    expect([status, problem(text).code]).toEqual([502, 'part_failed'])
    expect(problem(text).detail).toContain('every part failed')
  })

  it('is refused with the words of the backend when they are about the request', async () => {
    await using fakes = await startFakes([() => fails(400, 'options are nonsense')])
    const body = { model, input: lines(30), split }
    const { status, text } = await wholeCall(`${fakes.url}/generate`, { body })
    expect([status, problem(text).code]).toEqual([400, 'request_invalid'])
    expect(problem(text).detail).toContain('options are nonsense')
    expect(new Set(fakes.prompts).size).toBe(fakes.prompts.length)
  })
})

describe('the time of a run', () => {
  const endless = { answerTokens: 100_000, decodeTokensPerSecond: 500 }

  it('is over with 504, and nothing is left under way', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind, backend: seats(2) })
    const body = { model, input: lines(20), split, timeout: '300ms' }
    const { status, text, tookMs } = await wholeCall(`${fleet.url}/generate`, { body })
    expect([status, problem(text).code]).toEqual([504, 'total_timeout'])
    expect(tookMs).toBeLessThan(2_000)
    await untilIdle(fleet)
  })

  it('is over for the calls that combine as well', async () => {
    await using fakes = await startFakes([(prompt) => (prompt.startsWith('line') ? 'x' : () => {})])
    const body = { model, input: lines(4), split, combine: 'reduce', timeout: '300ms' }
    const { status, text } = await wholeCall(`${fakes.url}/generate`, { body })
    expect([status, problem(text).code]).toEqual([504, 'total_timeout'])
    expect(problem(text).detail).toContain('combines')
  })

  it('leaves holes where they may be, without asking for what comes too late', async () => {
    await using fakes = await startFakes([(prompt) => (third(prompt) ? () => {} : prompt)])
    const body = { input: lines(500), split, on_error: 'partial', timeout: '400ms' }
    const { status, fields } = await askSplit(fakes.url, body)
    expect(status).toBe(200)
    expect(fields.response).toContain('line 2\n[part 3 of 500 (line 3) is missing: ')
    const missing = fields.split.failed.length
    expect(missing).toBeGreaterThan(300)
    expect(new Set(fakes.prompts).size).toBeLessThanOrEqual(500 - missing + 10)
  })
})

describe('an answer as long as the context', () => {
  it('is no reason to refuse what a single server answers', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    for (const num_predict of [4_096, 100_000, -1, -2]) {
      const options = { num_predict, num_ctx: 4_096 }
      const { status } = await askSplit(fleet.url, { input: lines(12), split: true, options })
      expect([num_predict, status]).toEqual([num_predict, 200])
    }
    expect(workedAll(fleet)).toHaveLength(8)
  })
})
