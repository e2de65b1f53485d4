import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import type { ModelKind } from '../../backends/simulator/settings.ts'
import { chatText, lines, post, sky } from './asking.ts'

async function seam(kind: ModelKind, at = 30) {
  await using one = await startSimulator({ models: ['m'], kinds: { m: kind } })
  await using other = await startSimulator({ models: ['m'], kinds: { m: kind }, seed: 7 })
  const whole = await chatText(one, 'm')
  const said = whole.slice(0, at)
  const rest = await chatText(other, 'm', [...sky, { role: 'assistant', content: said }])
  return { whole, said, rest }
}

test('another simulator goes on in the middle of a word, at every place', async () => {
  for (const at of [1, 17, 40, 63]) {
    const { whole, said, rest } = await seam('continues', at)
    expect(said + rest).toBe(whole)
  }
})

test('the other kinds go wrong, each in its own way', async () => {
  const anew = await seam('begins-anew')
  expect(anew.rest).toBe(anew.whole)
  const space = await seam('adds-a-space')
  expect(space.rest).toBe(` ${space.whole.slice(30)}`)
  const again = await seam('repeats-the-last-word')
  expect(again.rest).toBe(` ${again.said.trim().split(/\s/).at(-1)}${again.whole.slice(30)}`)
  const other = await seam('diverges')
  expect(other.rest).not.toBe(other.whole.slice(30))
  expect((await seam('ends-at-once')).rest).toBe('')
})

test('a raw prompt that ends in the answer so far is gone on with', async () => {
  await using simulator = await startSimulator()
  const ask = async (prompt: string) => {
    const said = await lines(
      await post(simulator, '/api/generate', { model: 'llama3.2', prompt, raw: true }),
    )
    expect(said.at(-1)?.['context']).toBeUndefined()
    return said.map(({ response }) => response).join('')
  }
  for (const prompt of ['[INST] why? [/INST]', 'Tell me about ropes', 'x']) {
    const whole = await ask(prompt)
    for (const at of [1, 2, 9, 33])
      expect(await ask(prompt + whole.slice(0, at))).toBe(whole.slice(at))
  }
})

test('the repeat guard ends a stream cleanly and without a last line', async () => {
  await using simulator = await startSimulator({
    models: ['m'],
    kinds: { m: 'stops-without-done' },
  })
  const said = await lines(await post(simulator, '/api/chat', { model: 'm', messages: sky }))
  expect(said.some(({ done }) => done)).toBe(false)
})

test('the text depends on seed and temperature and not on how it is sent', async () => {
  await using simulator = await startSimulator()
  const text = (options: object) => chatText(simulator, 'llama3.2', sky, { options })
  expect(await text({ seed: 1 })).not.toBe(await text({ seed: 2 }))
  expect(await text({ temperature: 0 })).not.toBe(await text({ temperature: 0.5 }))
  expect(await text({ seed: 1, num_ctx: 2048 })).toBe(await text({ seed: 1 }))
})

test('the numbers of `context` bring the conversation back', async () => {
  await using simulator = await startSimulator()
  const ask = async (body: object) =>
    (await (
      await post(simulator, '/api/generate', { model: 'llama3.2', stream: false, ...body })
    ).json()) as { context: number[]; prompt_eval_count: number }
  const first = await ask({ prompt: 'hello' })
  const second = await ask({ prompt: 'and?', context: first.context })
  expect(second.prompt_eval_count).toBeGreaterThan(first.prompt_eval_count + 10)
})
