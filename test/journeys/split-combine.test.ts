import { describe, expect, it } from 'vitest'
import { wholeCall } from '../help/open-call.ts'
import { model, untilIdle } from '../help/warm-fleet.ts'
import { fails, startFakes } from './split-fakes.ts'
import { askSplit, linesOf, streamSplit } from './split-fleet.ts'

const split = { by: 'lines', size: 1 }
const lines = (count: number) => linesOf(count).join('\n')
const numberIn = (prompt: string) => Number(/line (\d+)/.exec(prompt)?.[1])

const problem = (text: string) => JSON.parse(text) as { code: string; detail: string }

async function refusedAs(url: string, body: object) {
  const { status, text } = await wholeCall(`${url}/generate`, { body: { model, ...body } })
  return { status, ...problem(text) }
}

describe('json', () => {
  const format = {
    type: 'object',
    required: ['found'],
    properties: { found: { type: 'array', items: { type: 'integer' }, maxItems: 3 } },
  }
  const found = (prompt: string) => JSON.stringify({ found: [numberIn(prompt)] })

  it('makes one object of several, fenced or not, that the schema holds for', async () => {
    await using fakes = await startFakes([
      (prompt) =>
        numberIn(prompt) === 2 ? `Sure!\n\`\`\`json\n${found(prompt)}\n\`\`\`\n` : found(prompt),
    ])
    const { fields } = await askSplit(fakes.url, {
      input: lines(3),
      split,
      combine: 'json',
      format,
    })
    expect(JSON.parse(fields.response)).toEqual({ found: [1, 2, 3] })
    expect(fakes.bodies[0]).toMatchObject({ format })
  })

  it('lets nothing out before its end in a stream, and then the same', async () => {
    await using fakes = await startFakes([(prompt) => `[${numberIn(prompt)}]`])
    const body = { input: lines(4), split, combine: 'json' }
    const { pieces, text } = await streamSplit(fakes.url, body)
    expect(pieces).toHaveLength(1)
    expect(JSON.parse(text)).toEqual([1, 2, 3, 4])
  })

  it('fails with what is wrong when the whole does not meet the schema', async () => {
    await using fakes = await startFakes([found])
    const body = { input: lines(4), split, combine: 'json', format }
    expect(await refusedAs(fakes.url, body)).toMatchObject({
      status: 502,
      code: 'cannot_combine',
      detail: expect.stringContaining('does not meet the schema'),
    })
  })

  it('fails with the part whose answer is none, and asks for no more', async () => {
    await using fakes = await startFakes([(prompt) => (numberIn(prompt) === 2 ? 'Sorry.' : '[1]')])
    const body = { input: lines(200), split, combine: 'json', on_error: 'partial' }
    expect(await refusedAs(fakes.url, body)).toMatchObject({
      status: 502,
      code: 'cannot_combine',
      detail: expect.stringMatching(/part 2 of 200 \(line 2\) is not JSON/),
    })
    expect(fakes.prompts.length).toBeLessThan(70)
    // What was not begun is not begun only to be cancelled.
    await untilIdle(fakes.fleet)
    await new Promise(setImmediate)
    const inner = fakes.fleet.ended.filter(({ id }) => id.includes('.'))
    expect(inner.length).toBeLessThanOrEqual(fakes.prompts.length + 4)
  })
})

describe('yaml', () => {
  it('joins the task lists that the seed asks for', async () => {
    await using fakes = await startFakes([
      (prompt) => `\`\`\`yaml\n- name: task ${numberIn(prompt)}\n  command: "true"\n\`\`\``,
    ])
    const body = { commands: lines(3), split, combine: 'yaml' }
    const { fields } = await askSplit(fakes.url, body)
    expect(fields.response.match(/^- name: task \d$/gm)).toEqual([
      '- name: task 1',
      '- name: task 2',
      '- name: task 3',
    ])
    expect(fields.response).not.toContain('```')
  })
})

describe('reduce', () => {
  const long = (prompt: string) => `answer to ${numberIn(prompt)}: ${'and so on '.repeat(150)}`
  const says = (prompt: string, asked: number) =>
    prompt.startsWith('line') || prompt.startsWith('Find') ? long(prompt) : `reduced ${asked}`

  it('asks the model to make one of them, by a tree as wide as the context allows', async () => {
    await using fakes = await startFakes([says])
    const { fields } = await askSplit(fakes.url, { input: lines(12), split, combine: 'reduce' })
    const { levels, calls } = fields.split.combined as { levels: number; calls: number }
    expect(levels).toBeGreaterThan(1)
    const combining = fakes.prompts.filter((prompt) => !prompt.startsWith('line'))
    expect(combining).toHaveLength(calls)
    expect(fields.response).toMatch(/^reduced \d+$/)
    // Each answer is shown once, in its order, and nothing is longer than a context.
    const shown = combining.flatMap((prompt) =>
      [...prompt.matchAll(/answer to (\d+)/g)].map(([, number]) => Number(number)),
    )
    expect(shown.toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: 12 }, (_, index) => index + 1),
    )
    for (const prompt of combining) expect(prompt.length / 4).toBeLessThan(4_096)
    // The parts and the calls that combine are counted, each once.
    expect(fields.eval_count).toBe(3 * (12 + calls))
    expect(fields.split.backends).toEqual({ a: 12 + calls })
  })

  it('tells the model what it is to do, and what the parts were asked', async () => {
    await using fakes = await startFakes([says])
    const combine = { by: 'reduce', instruction: 'Make a haiku of them.', model }
    const instruction = 'Find the verbs'
    await askSplit(fakes.url, {
      input: lines(2),
      instruction,
      split,
      combine,
      format: 'json',
      options: { seed: 7 },
    })
    const last = fakes.bodies.at(-1)!
    expect(last['prompt']).toContain('Make a haiku of them.')
    expect(last['prompt']).toContain(instruction)
    expect(last).toMatchObject({ options: { seed: 7 }, stream: false })
    expect(last).not.toHaveProperty('format')
  })

  it('has no more calls at once than max_parallel', async () => {
    let [open, most] = [0, 0]
    await using fakes = await startFakes([
      (prompt) =>
        prompt.startsWith('line')
          ? long(prompt)
          : (response) => {
              most = Math.max(most, ++open)
              setTimeout(() => {
                open--
                response.end(JSON.stringify({ response: 'less', done: true }))
              }, 20)
            },
    ])
    const once = { ...split, max_parallel: 1 }
    await askSplit(fakes.url, { input: lines(12), split: once, combine: 'reduce' })
    expect(most).toBe(1)
  })

  it('fails honestly when the model does', async () => {
    await using fakes = await startFakes([
      (prompt) => (prompt.startsWith('line') ? 'fine' : fails(500, 'no luck')),
    ])
    const body = { input: lines(3), split, combine: 'reduce' }
    expect(await refusedAs(fakes.url, body)).toMatchObject({
      status: 502,
      code: 'cannot_combine',
      detail: expect.stringContaining('no luck'),
    })
  })
})

describe('vote', () => {
  const voting = async (answers: readonly string[], more: object = {}) => {
    await using fakes = await startFakes([(prompt) => answers[numberIn(prompt) - 1]!])
    const body = { input: lines(answers.length), split, combine: 'vote', ...more }
    return (await askSplit(fakes.url, body)).fields
  }

  it('takes what most say, however it is written', async () => {
    const fields = await voting(['Yes.', 'no', '"yes"', 'Yes.', 'perhaps'])
    expect(fields.response).toBe('Yes.')
    expect(fields.split.combined).toMatchObject({ failed: 0 })
    expect(fields.split.combined).not.toHaveProperty('tie')
  })

  it('says a tie, and takes the one that was seen first', async () => {
    const fields = await voting(['no', 'yes', 'Yes', 'No.'])
    expect(fields.response).toBe('no')
    expect(fields.split.combined).toMatchObject({ tie: ['no', 'yes'] })
  })
})
