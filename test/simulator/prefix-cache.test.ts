import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { lines, post } from './asking.ts'

const long = (word: string) => [{ role: 'user', content: `${word} `.repeat(400) }]
const brief = { num_predict: 2 }

async function ask(simulator: { url: string }, messages: unknown[]) {
  const said = await lines(
    await post(simulator, '/api/chat', { model: 'llama3.2', messages, options: brief }),
  )
  return Number(said.at(-1)?.['prompt_eval_duration'] ?? 0)
}

test('a conversation that comes back is not read again, and the figures show it', async () => {
  await using simulator = await startSimulator({ prefillTokensPerSecond: 20_000 })
  const cold = await ask(simulator, long('rope'))
  const warm = await ask(simulator, long('rope'))
  expect(cold).toBeGreaterThan(20e6)
  expect(warm).toBeLessThan(cold / 50)
  const [first, second] = simulator.trace()
  expect(first?.cachedTokens).toBe(0)
  expect(second?.cachedTokens).toBe((second?.promptTokens ?? 0) - 1)
  expect(second?.promptTokens).toBe(first?.promptTokens)
})

test('the new engine remembers what lost its slot, the old one does not', async () => {
  for (const generation of ['new', 'old'] as const) {
    await using simulator = await startSimulator({ generation })
    await ask(simulator, long('rope'))
    await ask(simulator, long('bridge'))
    await ask(simulator, long('rope'))
    const cached = simulator.trace().at(-1)?.cachedTokens ?? 0
    if (generation === 'new') expect(cached).toBeGreaterThan(400)
    else expect(cached).toBeLessThan(20)
  }
})

test('the memory for prompts has a bound', async () => {
  await using simulator = await startSimulator({ promptCacheBytes: 1000 * 128 * 1024 })
  for (const word of ['rope', 'bridge', 'knot!', 'river']) await ask(simulator, long(word))
  await ask(simulator, long('rope'))
  expect(simulator.trace().at(-1)?.cachedTokens).toBeLessThan(20)
})

test('each of two conversations finds its own slot again', async () => {
  await using simulator = await startSimulator({ slots: 2, promptCacheBytes: 0 })
  for (const word of ['rope', 'bridge', 'rope', 'bridge']) await ask(simulator, long(word))
  const entries = simulator.trace()
  expect(entries.map(({ slot }) => slot)).toEqual([0, 1, 0, 1])
  expect(entries[3]?.cachedTokens).toBeGreaterThan(400)
})

test('an unloaded model has forgotten everything', async () => {
  await using simulator = await startSimulator()
  await ask(simulator, long('rope'))
  await post(simulator, '/api/generate', { model: 'llama3.2', keep_alive: 0 })
  await ask(simulator, long('rope'))
  expect(simulator.trace().at(-1)?.cachedTokens).toBe(0)
})
