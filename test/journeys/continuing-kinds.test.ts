import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ModelKind, modelKinds } from '../../backends/simulator/settings.ts'
import { scaledClock } from '../../src/core/clock.ts'
import type { Fleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import {
  kindsFleet,
  modelOf,
  type Route,
  type RoutePath,
  routes,
  tell,
} from './continuing-fleet.ts'

/**
 * `same`: what the client has is the fault-free answer, to the letter, with one end · `honest`: it is the beginning of
 * that, then one error in the family's own form, and no end.
 */
type Worth = 'same' | 'honest'
type Table = Readonly<Record<ModelKind, Worth | undefined>>

/** With temperature 0 the same request says the same, so every model can begin anew where nothing else works. */
const greedy: Table = {
  continues: 'same',
  'begins-anew': 'same',
  'adds-a-space': 'same',
  'repeats-the-last-word': 'same',
  diverges: 'same',
  'ends-at-once': 'same',
  thinks: 'same',
  // Its own server ends it: there is no whole answer.
  'stops-without-done': 'honest',
}

/** Without temperature 0 only a text that was begun can be gone on with. */
const sampled: Table = {
  ...greedy,
  'begins-anew': 'honest',
  'ends-at-once': 'honest',
  diverges: 'honest',
}

/** Behind how many lines or events it breaks: near the beginning, and in the middle. */
const breaks = [8, 26]

async function breakOne(
  fleet: Fleet,
  route: Route,
  kind: ModelKind,
  chunks: number,
  more: Readonly<Record<string, unknown>>,
) {
  const [a, b] = fleet.simulators
  const model = modelOf(kind)
  const body = route.body(model, `tell me of ${chunks} things`, more)
  const whole = await tell(b!.url, route, body)
  a!.faults.add({ kind: 'reset-after-chunks', chunks, path: route.path, model, count: 1 })
  const told = await tell(fleet.url, route, body)
  const prefix =
    whole.text.startsWith(told.text) && whole.thinking.startsWith(told.thinking)
      ? 'its beginning'
      : `${told.thinking}|${told.text} instead of ${whole.thinking}|${whole.text}`
  const isSame = whole.text === told.text && whole.thinking === told.thinking
  const [first] = told.frames
  expect(told.answer.headers['x-chasqui-backend'], 'where it began').toBe('a')
  expect(first).toBeDefined()
  return {
    kind,
    chunks,
    ends: told.ends,
    errors: told.errors.length,
    transfer: told.answer.ended,
    text: isSame ? 'all of it' : prefix,
  }
}

function expected(worth: Worth, got: Awaited<ReturnType<typeof breakOne>>) {
  const { kind, chunks } = got
  return worth === 'same'
    ? { kind, chunks, ends: 1, errors: 0, transfer: 'clean', text: 'all of it' }
    : {
        kind,
        chunks,
        ends: 0,
        errors: 1,
        transfer: 'clean',
        text: got.text === 'all of it' ? got.text : 'its beginning',
      }
}

async function expectTable(
  fleet: Fleet,
  route: Route,
  table: Table,
  more: Readonly<Record<string, unknown>>,
) {
  for (const chunks of breaks) {
    const rows = await Promise.all(
      modelKinds
        .filter((kind) => table[kind] !== undefined)
        .map((kind) => breakOne(fleet, route, kind, chunks, more)),
    )
    expect(rows).toEqual(rows.map((row) => expected(table[row.kind]!, row)))
  }
  const [a] = fleet.simulators
  // Every one of them has really met its fault.
  expect(a!.faults.list().filter(({ count = 0 }) => count > 0)).toEqual([])
}

const paths = Object.keys(routes) as RoutePath[]

describe('a model of each kind that nobody has measured', () => {
  let fleet: Fleet
  beforeAll(async () => {
    fleet = await kindsFleet()
  })
  afterAll(async () => await fleet[Symbol.asyncDispose]())

  it.each(paths)('goes on with temperature 0 on %s, to the letter', async (path) => {
    await expectTable(fleet, routes[path], greedy, { temperature: 0 })
  })

  it.each(paths)('goes on without it on %s, or is ended honestly', async (path) => {
    await expectTable(fleet, routes[path], { ...sampled, ...unmeasured }, {})
  })
})

/** Where a guess decides. */
const unmeasured: Partial<Table> = {
  // Nothing tells words of another answer from the right ones: see `guessManner`.
  diverges: undefined,
  // The templates here do not show thoughts, so a rendering can not tell whether one that was begun is left open.
  thinks: undefined,
}

describe('a model of each kind that has been measured', () => {
  let fleet: Fleet
  beforeAll(async () => {
    fleet = await kindsFleet({ doors: { clock: scaledClock(10) } })
    for (const kind of modelKinds) {
      const route = routes['/api/chat']
      await tell(fleet.url, route, route.body(modelOf(kind), 'hello'))
    }
    await untilMeasured(fleet, modelKinds.length - 1)
    for (const simulator of fleet.simulators) simulator.clearTrace()
  }, 30_000)
  afterAll(async () => await fleet[Symbol.asyncDispose]())

  it.each(paths)('goes on with temperature 0 on %s, to the letter', async (path) => {
    await expectTable(fleet, routes[path], { ...greedy, ...unheard(path) }, { temperature: 0 })
  })

  it.each(paths)('goes on without it on %s, or is ended honestly', async (path) => {
    await expectTable(fleet, routes[path], { ...sampled, ...unheard(path) }, {})
    // Nobody asks how the template renders what is known already; one kind never ends well, so nobody measures it.
    const rendered = fleet.simulators[1]!.trace().filter(isRendering)
    expect(new Set(rendered.map((each) => each.model))).toEqual(
      new Set([modelOf('stops-without-done')]),
    )
  })
})

const isRendering = ({ bodyText = '' }: { readonly bodyText: string | undefined }) =>
  bodyText.includes('_debug_render')

/** The simulator reads no thoughts from the items of a Responses request, as Ollama does. */
function unheard(path: RoutePath): Partial<Table> {
  return path === '/v1/responses' ? { thinks: undefined } : {}
}

/** So many models have been asked, and nobody is any more. */
async function untilMeasured(fleet: Fleet, models: number): Promise<void> {
  let [count, sinceMs] = [0, 0]
  await until(
    () => {
      const probes = fleet.ended.filter(({ tenant }) => tenant === 'chasqui')
      if (probes.length !== count) [count, sinceMs] = [probes.length, performance.now()]
      const asked = new Set(probes.map(({ model }) => model)).size
      return asked >= models && performance.now() - sinceMs > 300
    },
    20_000,
    'all models measured',
  )
}
