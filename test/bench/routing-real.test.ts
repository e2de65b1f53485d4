import { describe, expect, it } from 'vitest'
import { readArguments } from '../../backends/simulator/main.ts'
import { ModelStore } from '../../backends/simulator/models.ts'
import { planAnswer, turn } from '../../backends/simulator/plan.ts'
import { defaultSettings } from '../../backends/simulator/settings.ts'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import type { Request } from '../../bench/routing/engine/specs.ts'
import type { Outcome } from '../../bench/routing/engine/world.ts'
import { readRoutingPlan } from '../../bench/routing/plan.ts'
import { acts, playable } from '../../bench/routing/real/acts.ts'
import {
  haproxyConfig,
  nginxBlocks,
  oursConfig,
  simulatorArguments,
} from '../../bench/routing/real/configs.ts'
import { herd, herdEnvironment } from '../../bench/routing/real/herd.ts'
import { heartbeatOf } from '../../bench/routing/real/herd-heartbeats.ts'
import { figuresAt, loadsOf, outcomesOf } from '../../bench/routing/real/outcomes.ts'
import { messagesOf, promptTokensMin } from '../../bench/routing/real/scripted.ts'
import { tooSlow } from '../../bench/routing/real/strain.ts'
import { scenarios } from '../../bench/routing/scenarios/scenarios.ts'
import { mixedFleet, type Stage } from '../../bench/routing/scenarios/stage.ts'
import { conversationTrace } from '../../bench/routing/traffic/conversations.ts'
import { plainRequest, Texts } from '../../bench/routing/traffic/trace.ts'
import { readConfig } from '../../src/config/read.ts'
import { realClock } from '../../src/core/clock.ts'
import { seededDice } from '../../src/core/dice.ts'

const settings = { ...defaultSettings, scripts: true }
const model = new ModelStore(settings, realClock()).find('llama3.2')!

/** What the simulator would read and say. */
function planned(request: Request): { prompt: string; answer: string; tokens: number } {
  const turns = messagesOf(request).map(({ role, content }) => turn(role, content))
  const question = {
    ...{ turns, raw: undefined, before: '', tools: [], format: undefined, think: false },
    ...{ seed: undefined, temperature: 0, numPredict: -1, stop: [], logprobs: undefined },
  }
  const { prompt, content } = planAnswer(question, model, settings, 131_072)
  return { prompt, answer: content.join(''), tokens: content.length }
}

const texts = new Texts()
const plain = (promptTokens: number, outputTokens: number, more: Partial<Request> = {}) =>
  plainRequest(texts, { id: 0, atMs: 0, promptTokens, outputTokens, ...more })

describe('a request of a trace as a chat', () => {
  it('has as many tokens of prompt and answer as the trace says', () => {
    for (const [prompt, answer] of [
      [promptTokensMin, 7],
      [1_020, 129],
      [6_212, 954],
    ] as const) {
      const said = planned(plain(prompt, answer))
      expect(said.prompt).toHaveLength(4 * prompt)
      expect(said.tokens).toBe(answer)
    }
  })

  it('begins with all of the turn before, its answer included, and with nobody else’s text', () => {
    const trace = conversationTrace(300, 1, seededDice(5))
    const bySession = Map.groupBy(trace, ({ session }) => session)
    let followed = 0
    for (const turns of bySession.values())
      for (const [index, request] of turns.entries()) {
        const said = planned(request)
        expect(said.prompt).toHaveLength(4 * request.promptTokens)
        expect(said.tokens).toBe(request.outputTokens)
        const before = turns[index - 1]
        if (!before) continue
        const earlier = planned(before)
        expect(said.prompt.startsWith(earlier.prompt + earlier.answer)).toBe(true)
        followed++
      }
    expect(followed).toBeGreaterThan(100)
    const [one, other] = [plain(500, 5), plain(500, 5)].map((each) => planned(each).prompt)
    expect(one!.slice(0, 20)).not.toBe(other!.slice(0, 20))
  })

  it('does not tell a balancer how long its answer is to be', () => {
    const short = JSON.stringify(messagesOf(plain(500, 100, { chain: [9] })))
    const long = JSON.stringify(messagesOf(plain(500, 900, { chain: [9] })))
    expect(short).toHaveLength(long.length)
  })
})

describe('the settings of those that take part', () => {
  const machines = mixedFleet.map(({ name, slots }, index) => ({
    name,
    slots,
    port: 9_000 + index,
  }))

  it('make a simulator of what the study’s machine is', () => {
    const models = [
      { name: 'later', speed: 0.5, loadSeconds: 16 },
      { name: 'first', speed: 1, loadSeconds: 8 },
    ]
    const spec = mixedFleet[1]!
    const place = { port: 9_001, pace: { scale: 15, datesFromMs: 7 }, preloaded: [1] }
    const read = readArguments(simulatorArguments(spec, models, place))
    expect(read).toMatchObject({
      ...{
        port: 9_001,
        name: 'm1',
        slots: 4,
        maxLoaded: 2,
        clockSpeed: 15,
        datesFromMs: 7,
        keepAliveMs: 300_000,
      },
      ...{ decodeTokensPerSecond: 60, prefillTokensPerSecond: 2_000, slowdownAlpha: 0.25 },
      ...{ engine: 'shared', scripts: true, unloadRecoveryMs: 1_000, preloaded: ['first'] },
      models: [
        { name: 'later', speed: 0.5, loadMs: 16_000 },
        { name: 'first', speed: 1, loadMs: 8_000 },
      ],
    })
    // By name among equals, as in the study.
    const onDisk = read === 'help' ? [] : (read.models ?? [])
    const digests = onDisk.map((each) => (typeof each === 'string' ? '' : (each.digest ?? '')))
    expect(digests.toSorted()).toEqual(digests.toReversed())
    expect(new Set(digests).size).toBe(2)
  })

  it('give HAProxy the slots as maxconn, and people a class before batch work where that is asked for', () => {
    const text = haproxyConfig({ port: 9_100, scale: 15, byClass: false }, machines)
    for (const { name, port, slots } of machines)
      expect(text).toContain(`server ${name} 127.0.0.1:${port} maxconn ${slots}\n`)
    expect(text).toContain('balance leastconn')
    expect(text).toContain('check inter 133ms fall 3')
    expect(text).not.toContain('priority-class')
    expect(haproxyConfig({ port: 9_100, scale: 15, byClass: true }, machines)).toContain(
      'set-priority-class int(0) if { req.hdr(X-Chasqui-Priority) interactive }',
    )
  })

  it('give nginx least_conn over all machines', () => {
    const text = nginxBlocks(9_100, machines)
    expect(text).toContain('least_conn;')
    expect(text.match(/^ +server 127/gm)).toHaveLength(machines.length)
  })

  it('are such as our own proxy takes, and tell it no slots', () => {
    const read = readConfig(oursConfig(false, machines), { fileName: 'fleet.yaml', env: {} })
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    expect(read.settings.backends.map(({ name }) => name)).toEqual(
      mixedFleet.map(({ name }) => name),
    )
    expect(read.settings.backends.map(({ slots }) => slots)).toEqual(machines.map(() => undefined))
  })
})

describe('ollama-herd', () => {
  const spec = mixedFleet[1]!
  const machine = { name: spec.name, port: 9_001, slots: spec.slots }
  const tags = [
    { model: 'a:latest', size: 16e9 },
    { model: 'b:latest', size: 8e9 },
  ]
  const loaded = { model: 'b:latest', size: 2 ** 33, digest: 'd', context_length: 131_072 }

  it('is told what the server says, its slots, and a bandwidth in proportion to its speed', () => {
    const told = heartbeatOf(machine, spec, 120, { tags, ps: [loaded] })
    expect(told).toMatchObject({
      ...{ node_id: 'm1', ollama_host: 'http://127.0.0.1:9001', memory_bandwidth_gbps: 400 },
      ollama: {
        models_loaded: [{ name: 'b:latest', size_gb: 8, digest: 'd', context_length: 131_072 }],
        models_available: ['a:latest', 'b:latest'],
        models_available_sizes: { 'a:latest': 16, 'b:latest': 8 },
        ...{ max_loaded_models: 2, num_parallel: 4 },
      },
    })
  })

  it('has memory for whatever is to be loaded, and for a request in every slot beside it', () => {
    const { memory } = heartbeatOf(machine, spec, 120, { tags, ps: [loaded] }) as {
      memory: { available_gb: number }
    }
    expect(memory.available_gb).toBeGreaterThan(2 * 16)
    expect((memory.available_gb - 16) / 2).toBeGreaterThanOrEqual(spec.slots)
  })

  it('serves on the loopback, answers with the model that was asked for, and reports to nobody', () => {
    expect(herdEnvironment({ dir: '/empty', port: 9_100, scale: 15 })).toMatchObject({
      ...{ FLEET_HOST: '127.0.0.1', FLEET_PORT: '9100', FLEET_DATA_DIR: '/empty', HOME: '/empty' },
      ...{ FLEET_VRAM_FALLBACK: 'false', FLEET_AUTO_PULL: 'false', FLEET_TELEMETRY: 'false' },
      ...{ FLEET_NODE_TELEMETRY: 'false', BENCH_CLOCK_SPEED: '15' },
    })
  })

  it('sees each conversation come from one address, and passes on whose request it is', () => {
    const extras = (session: string) => herd.extrasOf!(plain(100, 10, { session }), 't7')
    expect(extras('one')).toEqual(extras('one'))
    expect(extras('one').headers).not.toEqual(extras('other').headers)
    expect(extras('one').headers['X-Forwarded-For']).toMatch(/^10(\.\d{1,3}){3}$/)
    expect(extras('one').body).toEqual({ request_id: 't7' })
  })
})

describe('what is compared', () => {
  const stage: Stage = {
    ...{ machines: mixedFleet.slice(0, 2), models: [{ name: 'chat', speed: 1, loadSeconds: 8 }] },
    ...{ trace: [], perSecond: [1, 1], foreign: [], incidents: [], preloaded: [[0], [0]] },
  }
  const outcome = (id: number, firstMs: number, endMs: number): Outcome => ({
    ...{ request: plain(100, 10, { id, atMs: 1_000 * id }), firstMs, endMs },
    ...{ machine: 0, cachedTokens: 20, visits: 1, isGood: true },
  })

  it('is what had become of the requests when the real run was over', () => {
    const outcomes = [outcome(0, 500, 2_000), outcome(1, 2_000, 9_000), outcome(2, 8_000, 9_500)]
    const none = [
      { loads: 3, loadMs: 0 },
      { loads: 0, loadMs: 0 },
    ]
    const whole = figuresAt(20_000, stage, outcomes, none)
    expect(whole).toMatchObject({ unfinished: 0, loadsPer1000: 1_000, cachedShare: 0.2 })
    expect(whole.mean).toBeCloseTo((2 + 8 + 7.5) / 3)
    const early = figuresAt(5_000, stage, outcomes, none)
    expect(early.unfinished).toBeCloseTo(2 / 3)
    // Who waits has waited until then.
    expect(early.mean).toBeCloseTo((2 + 4 + 3) / 3)
    expect(early.errors).toBe(0)
  })

  it('has machines, visits, cached tokens and loads from what the machines know', () => {
    const asked = plain(100, 10, { id: 7 })
    const entry = (id: string, more: Partial<TraceEntry>) =>
      ({ headers: [['X-Request-Id', id]], arrivalWall: 0, ...more }) as TraceEntry
    const happened = {
      seen: [{ request: asked, firstMs: 1, endMs: 2, isGood: true, why: '' }],
      entries: [
        [entry('t7', { cancelReason: 'client disconnected', cachedTokens: 99 })],
        [
          entry('t7', { arrivalWall: 5, cachedTokens: 40 }),
          entry('', { loadStart: 100, loadEnd: 8_100 }),
          entry('t8', { arrivalWall: 9 }),
        ],
      ],
      overMs: 10,
    }
    expect(outcomesOf(happened)).toEqual([
      {
        ...{ request: asked, firstMs: 1, endMs: 2, isGood: true },
        ...{ machine: 1, cachedTokens: 40, visits: 2 },
      },
    ])
    expect(loadsOf(happened)).toEqual([
      { loads: 0, loadMs: 0 },
      { loads: 1, loadMs: 8_000 },
    ])
  })

  it('knows whose a request is from its body where a front asks with headers of its own', () => {
    const asked = plain(100, 10, { id: 7 })
    const bodyText = '{"request_id": "t7", "model": "chat:latest"'
    const entry: Partial<TraceEntry> = { headers: [['Host', 'x']], bodyText, cachedTokens: 5 }
    const seen = [{ request: asked, firstMs: 1, endMs: 2, isGood: true, why: '' }]
    expect(outcomesOf({ seen, entries: [[entry as TraceEntry]], overMs: 3 })).toMatchObject([
      { machine: 0, cachedTokens: 5, visits: 1 },
    ])
  })

  it('does not believe an answer that no machine gave', () => {
    const seen = [{ request: plain(100, 10), firstMs: 1, endMs: 2, isGood: true, why: '' }]
    expect(() => outcomesOf({ seen, entries: [[], []], overMs: 3 })).toThrow('no machine gave')
  })

  it('is the same trace for both, with room for the mark, and of B7 only what processes can play', () => {
    const [b7] = scenarios.filter(({ word }) => word === 'B7')
    const whole = b7!.stage({
      variant: b7!.variants[0]!,
      seed: 1,
      requests: 0,
      recorded: undefined,
    })
    const part = playable(whole, acts['B7']!)
    expect(part.trace.length).toBeLessThan(whole.trace.length)
    expect(part.trace.at(-1)!.atMs).toBeLessThan(40 * 60_000)
    expect(Math.min(...part.trace.map((each) => each.promptTokens))).toBe(promptTokensMin)
    expect(part.foreign).toHaveLength(whole.foreign.length)
    // The fastest gets hot; nobody's slots change.
    expect(part.incidents).toHaveLength(1)
  })

  it('has an act for every scenario of the study', () => {
    expect(Object.keys(acts)).toEqual(scenarios.map(({ word }) => word))
  })
})

describe('a run on a machine with too much to do', () => {
  const calm = {
    ...{
      seconds: 80,
      frontShare: 0.2,
      machinesShare: 0.3,
      clientsShare: 0.1,
      lateMs: 51,
      aways: 0,
    },
    ...{ loadBefore: 1, loadAfter: 1.5 },
  }

  it('is said to be worth little, and a calm one is not', () => {
    expect(tooSlow(calm, 2)).toBeUndefined()
    expect(tooSlow({ ...calm, lateMs: 2_668 }, 2)).toContain('sent late')
    expect(tooSlow({ ...calm, loadAfter: 5.6 }, 2)).toContain('others used the cores')
  })
})

describe('the command line', () => {
  const plan = (...args: string[]) => readRoutingPlan(args, 2)

  it('plays a little of it behind a short study, and nothing of it behind a whole one', () => {
    expect(plan('--short').real).toMatchObject({ only: ['B1'], scale: 15 })
    expect(plan('--short', '--only', 'B2').real?.only).toEqual([])
    expect(plan().real).toBeUndefined()
  })

  it('plays all scenarios or those that are named, at the pace that is asked for', () => {
    expect(plan('--real').real?.only).toHaveLength(scenarios.length)
    const some = plan(
      '--real',
      '--only',
      'B1,B3',
      '--scale',
      '20',
      '--requests',
      '500',
      '--seed',
      '4',
    )
    expect(some.real).toEqual({ only: ['B1', 'B3'], scale: 20, requests: 500, seed: 4 })
    expect(() => plan('--scale', '20')).toThrow('--scale goes with --real')
    expect(() => plan('--real', '--scale', '0')).toThrow('--scale takes')
  })
})
