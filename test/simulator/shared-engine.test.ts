import { expect, test } from 'vitest'
import { datedClock } from '../../backends/simulator/dated-clock.ts'
import { startSimulator } from '../../backends/simulator/server.ts'
import { defaultSettings } from '../../backends/simulator/settings.ts'
import { SharedEngine } from '../../backends/simulator/shared-engine.ts'
import { scriptMark, scriptOf } from '../../backends/simulator/text.ts'
import type { MachineSpec, Request } from '../../bench/routing/engine/specs.ts'
import { World } from '../../bench/routing/engine/world.ts'
import { plainRequest, Texts } from '../../bench/routing/traffic/trace.ts'
import { seededDice } from '../../src/core/dice.ts'
import { handClock } from '../help/clock.ts'
import { chatText, lines, loadedModels, post, until } from './asking.ts'

const spec: MachineSpec = {
  ...{ name: 'm', prefillPerSecond: 1_000, decodePerSecond: 20, kappa: 0.25, slots: 100 },
  ...{ modelsMax: 2, loadFactor: 1 },
}
const models = [
  { name: 'whole', speed: 1, loadSeconds: 1 },
  { name: 'half', speed: 0.5, loadSeconds: 1 },
]
const settings = {
  ...defaultSettings,
  ...{ prefillTokensPerSecond: 1_000, decodeTokensPerSecond: 20, slowdownAlpha: 0.25 },
}

function traceOf(count: number): Request[] {
  const dice = seededDice(4)
  const texts = new Texts()
  return Array.from({ length: count }, (_, id) =>
    plainRequest(texts, {
      ...{ id, atMs: Math.round(4_000 * dice.roll()), model: id % 2 },
      promptTokens: 2 + Math.floor(2_000 * dice.roll()),
      outputTokens: 1 + Math.floor(60 * dice.roll()),
    }),
  ).sort((one, other) => one.atMs - other.atMs)
}

test('two models on one engine take the times that the study foresees, to the millisecond', async () => {
  const trace = traceOf(12)
  const world = new World({
    ...{ machines: [spec], models, trace, foreign: [], incidents: [] },
    ...{ preloaded: [[0, 1]], dice: seededDice(1) },
  })
  world.play((view) => ({
    arrived: (request) => void view.send(request, 0),
    ended() {},
    failed() {},
  }))
  const clock = handClock(0)
  const engine = new SharedEngine(settings, clock)
  const never = new AbortController().signal
  const found = trace.map(async ({ atMs, promptTokens, outputTokens, model }) => {
    clock.pass(atMs - clock.now())
    const { speed } = models[model]!
    const turn = engine.begin({ promptTokens, answerTokens: outputTokens, speed }, never)
    const firstMs = atMs + (await turn.read())
    await turn.more(outputTokens - 1)
    return { firstMs, endMs: firstMs + turn.spokenMs() }
  })
  clock.pass(600_000)
  for (const [index, { firstMs, endMs }] of (await Promise.all(found)).entries()) {
    expect(firstMs).toBeCloseTo(world.outcomes[index]!.firstMs, 3)
    expect(endMs).toBeCloseTo(world.outcomes[index]!.endMs, 3)
  }
})

test('a machine that was stopped goes on where it was, and one that is slowed takes longer', async () => {
  const clock = handClock(0)
  const engine = new SharedEngine(settings, clock)
  const never = new AbortController().signal
  const turn = engine.begin({ promptTokens: 1_000, answerTokens: 20, speed: 1 }, never)
  const read = turn.read()
  clock.pass(500)
  engine.slowDown(4)
  clock.pass(2_000)
  expect(await read).toBeCloseTo(2_500)
  const asleep = { ...clock, now: () => clock.now() + sleptMs }
  let sleptMs = 0
  const other = new SharedEngine(settings, asleep)
  const stopped = other.begin({ promptTokens: 1_000, answerTokens: 1, speed: 1 }, never)
  clock.pass(500)
  sleptMs = 60_000
  clock.pass(625)
  // The 125 ms at most that passed unseen before the stop are lost as well.
  const tookMs = await stopped.read()
  expect(tookMs).toBeGreaterThanOrEqual(61_000)
  expect(tookMs).toBeLessThanOrEqual(61_125)
})

test('who leaves makes room for the others at once', async () => {
  const clock = handClock(0)
  const engine = new SharedEngine(settings, clock)
  const gone = new AbortController()
  const work = { promptTokens: 1_000, answerTokens: 1, speed: 1 }
  engine.begin(work, gone.signal)
  const stays = engine.begin(work, new AbortController().signal)
  clock.pass(1_000)
  gone.abort()
  clock.pass(500)
  expect(await stays.read()).toBeCloseTo(1_500)
})

test('a question with a script is answered to its letter, and what was said is in the cache', async () => {
  await using simulator = await startSimulator({ engine: 'shared', scripts: true, clockSpeed: 50 })
  const first = [{ role: 'user', content: `${scriptMark('a-1', 37)} tell me` }]
  const answer = await chatText(simulator, 'llama3.2', first)
  expect(answer).toBe(scriptOf('a-1', 37).join(''))
  expect(answer).toHaveLength(4 * 37)
  const begun = [...first, { role: 'assistant', content: answer.slice(0, 22) }]
  expect(await chatText(simulator, 'llama3.2', begun)).toBe(answer.slice(22))
  const more = { role: 'user', content: `${scriptMark('a-2', 3)} and then?` }
  await chatText(simulator, 'llama3.2', [...first, { role: 'assistant', content: answer }, more])
  // A token that the end of the answer cuts counts for neither.
  const [one, , three] = simulator.trace()
  expect(three!.cachedTokens).toBeGreaterThanOrEqual(one!.promptTokens! + 37 - 1)
  expect(one!.outputTokens).toBe(37)
})

test('without the setting a script is a text like any other', async () => {
  await using simulator = await startSimulator({ answerTokens: 5 })
  const messages = [{ role: 'user', content: scriptMark('a', 300) }]
  await chatText(simulator, 'llama3.2', messages)
  expect(simulator.trace()[0]!.outputTokens).toBe(5)
})

test('a model loads in its own time and answers at its own speed', async () => {
  await using simulator = await startSimulator({
    ...{ engine: 'shared', clockSpeed: 20, decodeTokensPerSecond: 100, answerTokens: 50 },
    models: [{ name: 'slow', speed: 0.5, loadMs: 2_000 }, 'plain'],
  })
  const figuresOf = async (model: string) => {
    const messages = [{ role: 'user', content: 'hello' }]
    return (await lines(await post(simulator, '/api/chat', { model, messages }))).at(-1)!
  }
  const slow = await figuresOf('slow')
  expect(slow['load_duration']).toBeGreaterThan(1.9e9)
  expect(Number(slow['eval_duration']) / 1e9).toBeCloseTo(1, 3)
  const plain = await figuresOf('plain')
  expect(plain['load_duration']).toBeLessThan(1.9e9)
  expect(Number(plain['eval_duration']) / 1e9).toBeCloseTo(0.5, 3)
})

test('the pace is changed from outside, where the engine can', async () => {
  const pace = (simulator: { url: string }, slowness: unknown) =>
    post(simulator, '/sim/pace', { slowness }, { method: 'PUT' })
  await using shared = await startSimulator({ engine: 'shared' })
  expect((await pace(shared, 4)).status).toBe(200)
  expect((await pace(shared, 0)).status).toBe(400)
  await using stepped = await startSimulator()
  expect((await pace(stepped, 4)).status).toBe(400)
})

test('what is preloaded is there from the first request on, and gone after a restart', async () => {
  await using simulator = await startSimulator({ loadMs: 400, preloaded: ['qwen3'] })
  expect(loadedModels(simulator)).toEqual(['qwen3:latest'])
  await chatText(simulator, 'qwen3')
  expect(simulator.trace()[0]!.loadStart).toBeUndefined()
  await simulator.restart()
  expect(loadedModels(simulator)).toEqual([])
})

test('dates that run with the clock tell when a model will have left, to whoever has the same dates', async () => {
  const datesFromMs = Date.now()
  await using simulator = await startSimulator({
    ...{ clockSpeed: 100, datesFromMs, keepAliveMs: 60_000, preloaded: ['qwen3'] },
  })
  const { wall } = datedClock(100, datesFromMs)
  const answer = await fetch(`${simulator.url}/api/ps`)
  const { models } = (await answer.json()) as { models: { expires_at: string }[] }
  const leavesMs = Date.parse(models[0]!.expires_at)
  expect(leavesMs - wall()).toBeLessThanOrEqual(60_000)
  await until(() => loadedModels(simulator).length === 0)
  expect(wall()).toBeGreaterThanOrEqual(leavesMs - 200)
})
