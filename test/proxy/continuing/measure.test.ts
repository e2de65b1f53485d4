import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Simulator, startSimulator } from '../../../backends/simulator/server.ts'
import type { ModelKind } from '../../../backends/simulator/settings.ts'
import { modelKinds } from '../../../backends/simulator/settings.ts'
import { inOrder, mannerOf, restart, type Way } from '../../../src/proxy/continuing/manner.ts'
import {
  type AskProbe,
  measure,
  type Probed,
  rendersOpen,
} from '../../../src/proxy/continuing/measure.ts'
import { seamFor } from '../../../src/proxy/continuing/seam.ts'

let simulator: Simulator
beforeAll(async () => {
  simulator = await startSimulator({
    models: [...modelKinds],
    kinds: Object.fromEntries(modelKinds.map((kind) => [kind, kind])),
    answerTokens: 40,
    decodeTokensPerSecond: 50_000,
    maxLoaded: modelKinds.length,
  })
})
afterAll(() => simulator.close())

const bodies: Record<string, unknown>[] = []
const askSimulator: AskProbe = async (path, body) => {
  bodies.push({ ...body })
  const answer = await fetch(simulator.url + path, { method: 'POST', body: JSON.stringify(body) })
  if (answer.status !== 200) throw new Error(await answer.text())
  return (await answer.json()) as unknown
}

const probed = (kind: ModelKind, more: Partial<Probed> = {}): Probed => ({
  model: kind,
  runner: {},
  canThink: kind === 'thinks',
  ...more,
})

const trailing = (manner: Way['manner']): Way => ({ method: 'trailing', manner })
const raw = (manner: Way['manner']): Way => ({ method: 'raw', manner })

describe('measuring a model', () => {
  const expected: Readonly<Record<ModelKind, { plain: Way[]; raw: Way[] }>> = {
    continues: { plain: [trailing('exact'), restart], raw: [raw('exact'), restart] },
    thinks: { plain: [trailing('exact'), restart], raw: [raw('exact'), restart] },
    'stops-without-done': { plain: [trailing('exact'), restart], raw: [raw('exact'), restart] },
    'adds-a-space': {
      plain: [trailing('adds-a-space'), restart],
      raw: [raw('adds-a-space'), restart],
    },
    'repeats-the-last-word': {
      plain: [trailing('repeats-the-last-word'), restart],
      raw: [raw('repeats-the-last-word'), restart],
    },
    'begins-anew': { plain: [restart], raw: [restart] },
    diverges: { plain: [restart], raw: [restart] },
    'ends-at-once': { plain: [restart], raw: [restart] },
  }

  it.each(modelKinds)('finds how one of the kind %s goes on', async (kind) => {
    const found = await measure(probed(kind), askSimulator)
    expect({ plain: found.plain, raw: found.raw }).toEqual(expected[kind])
    if (kind === 'thinks') {
      expect(found.thought).toEqual([trailing('exact'), restart])
      expect(found.afterThought).toEqual([trailing('exact'), restart])
    } else expect([found.thought, found.afterThought]).toEqual([undefined, undefined])
  })

  it('asks little: few questions, few tokens, temperature 0, one seed', async () => {
    bodies.length = 0
    await measure(probed('continues'), askSimulator)
    expect(bodies.length).toBe(6)
    bodies.length = 0
    await measure(probed('diverges'), askSimulator)
    expect(bodies.length).toBe(10)
    for (const { options, stream } of bodies) {
      expect(options).toMatchObject({ temperature: 0, seed: 7 })
      expect((options as { num_predict: number }).num_predict).toBeLessThanOrEqual(24)
      expect(stream).toBe(false)
    }
  })

  it('names the options that made the runner, so that nothing is loaded anew', async () => {
    const options = { model: 'continues', prompt: 'x', options: { num_ctx: 2048 }, shift: false }
    await fetch(`${simulator.url}/api/generate`, { method: 'POST', body: JSON.stringify(options) })
    const loads = () => simulator.trace().filter(({ loadStart }) => loadStart !== undefined).length
    const before = loads()
    await measure(
      probed('continues', { runner: { num_ctx: '2048', shift: 'false' } }),
      askSimulator,
    )
    expect(loads()).toBe(before)
    await measure(probed('continues'), askSimulator)
    expect(loads()).toBeGreaterThan(before)
  })

  it('offers no restart where the same question gets two answers', async () => {
    let turn = 0
    const found = await measure(probed('continues'), async (path, body) => {
      const { options } = body as { options: object }
      return askSimulator(path, { ...body, options: { ...options, seed: ++turn === 1 ? 7 : 8 } })
    })
    expect(found.plain).toEqual([])
  })

  it('measures nothing by an answer that is too short, and fails with the server', async () => {
    const short = await measure(probed('continues'), async () => ({ message: { content: 'Hi.' } }))
    expect(Object.values(short)).toEqual([undefined, undefined, undefined, undefined])
    await expect(
      measure(probed('continues'), async () => {
        throw new Error('it answered 503')
      }),
    ).rejects.toThrow('503')
  })

  it('sees a template that trims', async () => {
    const found = await measure(probed('continues'), async (path, body) => {
      const said = (await askSimulator(path, body)) as {
        _debug_info?: { rendered_template: string }
      }
      const rendered = said._debug_info?.rendered_template.trimEnd()
      return rendered === undefined ? said : { _debug_info: { rendered_template: rendered } }
    })
    expect(found.plain).toEqual([{ ...trailing('exact'), trims: true }, restart])
  })

  it('takes the raw prompt where the conversation is not gone on with', async () => {
    // A model whose template closes the turn, and whose raw prompt is gone on with as one wishes.
    const text = 'The river runs down from the hills and over many stones to the sea.'
    const found = await measure(probed('begins-anew'), async (_, body) => {
      const {
        messages,
        prompt,
        _debug_render_only: render,
      } = body as {
        messages?: unknown[]
        prompt?: string
        _debug_render_only?: boolean
      }
      if (render) return { _debug_info: { rendered_template: '<user>?<model>' } }
      if (messages) return { message: { content: text } }
      const begun = prompt!.startsWith('<user>?<model>') ? prompt!.slice(14) : ''
      return { response: text.slice(begun.length) }
    })
    expect(found.plain).toEqual([raw('exact'), restart])
  })
})

describe('the rendering of a trailing message', () => {
  const begun = { content: 'Well, the sky', thinking: '' }

  it('tells whether the turn is left open', async () => {
    const opens = (kind: ModelKind) => rendersOpen(probed(kind), undefined, begun, askSimulator)
    expect(await opens('continues')).toBe(true)
    expect(await opens('begins-anew')).toBe(false)
    expect(await opens('ends-at-once')).toBe(false)
  })

  it('is unknown where the server answers instead, and that with one token', async () => {
    bodies.length = 0
    const answered: AskProbe = (path, { ...body }) => {
      Reflect.deleteProperty(body, '_debug_render_only')
      return askSimulator(path, body)
    }
    expect(await rendersOpen(probed('continues'), undefined, begun, answered)).toBeUndefined()
    expect(bodies.at(-1)).toMatchObject({ options: { num_predict: 1 } })
  })
})

describe('a later leg of a real answer', () => {
  const messages = [{ role: 'user', content: 'Why is the sky blue?' }]
  const say = async (model: string, more: object[], numPredict: number) => {
    const body = { model, messages: [...messages, ...more], stream: true, think: false }
    const answer = await fetch(`${simulator.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify({ ...body, options: { num_predict: numPredict, temperature: 0 } }),
    })
    const lines = (await answer.text()).trim().split('\n')
    return lines.map(
      (line) => (JSON.parse(line) as { message: { content: string } }).message.content,
    )
  }

  it.each(modelKinds)(
    'of the kind %s gives the fault-free text, wherever the first broke',
    async (kind) => {
      const { plain } = await measure(probed(kind), askSimulator)
      const whole = await say(kind, [], 36)
      for (let cut = 1; cut < whole.length - 1; cut += 3) {
        const text = whole.slice(0, cut).join('')
        for (const way of plain!.slice(0, 2)) {
          const begun = way.method === 'trailing' ? [{ role: 'assistant', content: text }] : []
          const leg = await say(kind, begun, 36)
          const seam = seamFor(way, { text, thinking: '' })
          const out = leg.map((piece) => seam.text(piece)).join('') + seam.end().text
          const all = whole.join('')
          expect((text + out).slice(0, all.length)).toBe(all)
        }
      }
    },
  )
})

describe('the order of ways', () => {
  it('puts what needs no mending first, then the template’s own way, the restart last', () => {
    const methods = ['trailing', 'raw'] as const
    const ways = (one: Way['manner'] | undefined, other: Way['manner'] | undefined) =>
      inOrder(
        [one, other].map((manner, index) => ({
          method: methods[index]!,
          manner: manner === 'unknown' ? undefined : manner,
        })),
        true,
      )
    expect(ways('exact', 'exact')).toEqual([trailing('exact'), raw('exact'), restart])
    expect(ways('adds-a-space', 'exact')).toEqual([raw('exact'), trailing('adds-a-space'), restart])
    expect(ways('adds-a-space', 'repeats-the-last-word')).toEqual([
      trailing('adds-a-space'),
      raw('repeats-the-last-word'),
      restart,
    ])
    expect(ways('from-the-beginning', undefined)).toEqual([restart])
  })
})

describe('judging how a text goes on', () => {
  const whole = 'The sky is blue because the air scatters short waves more than long ones.'
  const cut = whole.indexOf(' because')
  const [partial, rest] = [whole.slice(0, cut), whole.slice(cut)]

  it('tells the manners apart', () => {
    expect(mannerOf(whole, partial, rest)).toBe('exact')
    expect(mannerOf(whole, partial, ` ${rest}`)).toBe('adds-a-space')
    expect(mannerOf(whole, partial, ` blue${rest}`)).toBe('repeats-the-last-word')
    expect(mannerOf(whole, partial, `blue${rest}`)).toBe('repeats-the-last-word')
    expect(mannerOf(whole, partial, whole)).toBe('from-the-beginning')
    expect(mannerOf(whole, partial, ' as the air scatters')).toBeUndefined()
    expect(mannerOf(whole, partial, '')).toBeUndefined()
  })

  it('forgives a text that differs far behind the seam, and none that ends too soon', () => {
    expect(mannerOf(whole, partial, `${rest.slice(0, 30)} differs`)).toBe('exact')
    expect(mannerOf(whole, partial, rest.slice(0, 10))).toBeUndefined()
  })
})
