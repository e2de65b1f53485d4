import { describe, expect, it, vi } from 'vitest'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import { canonicalName } from '../../src/core/model-name.ts'
import { seatsForNow } from '../../src/pool/slow-start.ts'
import { logged } from '../help/configured.ts'
import { type Herd, type Remote, startHerd } from '../help/herd.ts'
import { wholeCall } from '../help/open-call.ts'
import { startProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000 })

/** What a herd is probed with; the proportions are those of the defaults. */
const intervalMs = 300
const timeoutMs = 250
const fall = 3
const rise = 2
const server = ['--models', model, '--answer-tokens', '5']
const herdOf = (count: number) =>
  startHerd({
    simulators: Array.from({ length: count }, () => server),
    args: ['--slots', '4'],
    env: { CHASQUI_LOG_LEVEL: 'info', CHASQUI_CONTINUATION: 'false' },
  })

async function stateOf(herd: Herd, wanted: string): Promise<string | undefined> {
  return (await herd.status()).backends.find(({ name }) => name === wanted)?.state
}

const turnsOf = (herd: Herd, wanted: string) =>
  logged(herd.proxy, 'backend').flatMap(({ backend, state }) => (backend === wanted ? [state] : []))

/** What took so long; once more when it took too long, since what else this machine does is not the proxy's. */
async function inTime(limitMs: number, measureMs: () => Promise<number>): Promise<number> {
  const tookMs = await measureMs()
  return tookMs < limitMs ? tookMs : await measureMs()
}

/** Everything that a server was asked, the looks of the proxy too. */
async function traceAt(url: string): Promise<TraceEntry[]> {
  return ((await (await fetch(`${url}/sim/trace`)).json()) as { entries: TraceEntry[] }).entries
}

describe('a server that is killed while nobody asks anything', () => {
  /** Fault catalogue 1 and 2. */
  it('is away soon, which is said once, and back after the good looks that are set', async () => {
    await using herd = await herdOf(3)
    const [, b, c] = herd.remotes
    const limitMs = fall * intervalMs + 1_000
    const doomed: Remote[] = [b!, c!]
    const foundAfterMs = async () => {
      const { name, process } = doomed.shift()!
      const killedMs = performance.now()
      process.kill('SIGKILL')
      await until(async () => (await stateOf(herd, name)) === 'away')
      return performance.now() - killedMs
    }
    await until(() => turnsOf(herd, 'b').at(-1) === 'ready')
    const before = turnsOf(herd, 'b').length
    expect(await inTime(limitMs, foundAfterMs)).toBeLessThan(limitMs)

    // Only it could serve now; whoever asks is told at once that nobody can.
    for (const name of ['a', 'c'])
      await wholeCall(`${herd.url}/api/workers/${name}/drain`, { body: {} })
    const { port } = new URL(b!.url)
    const asks = () => wholeCall(`${herd.url}/api/chat`, { body: chat('hello') })
    expect((await asks()).status).toBe(503)
    await using again = await startProcess(['simulate', '--port', port, '--name', 'b', ...server])
    let first = await asks()
    await until(async () => {
      if (first.status !== 503) return true
      first = await asks()
      return false
    })
    expect(first.status).toBe(200)
    expect(first.headers['x-chasqui-backend']).toBe('b')
    expect(first.headers['x-chasqui-attempts']).toBe('1')
    const trace = await traceAt(again.url)
    const asked = trace.findIndex(({ method }) => method === 'POST')
    const looks = trace.slice(0, asked).filter(({ route }) => route === '/api/ps')
    expect(looks.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(rise)
    await until(() => turnsOf(herd, 'b').length >= before + 2)
    expect(turnsOf(herd, 'b').slice(before)).toEqual(['away', 'ready'])
  })
})

describe('a server that stands still', () => {
  /** Fault catalogue 4. */
  it('is away when its looks have had no answer; who waits there and who comes is served elsewhere', async () => {
    await using herd = await herdOf(2)
    for (const { url } of herd.remotes)
      await wholeCall(`${url}/api/generate`, { body: { model, keep_alive: -1 } })
    await until(async () =>
      (await herd.status()).backends.every(({ resident }) => resident.length === 1),
    )
    const asks = () => wholeCall(`${herd.url}/api/chat`, { body: chat('hello') })
    const limitMs = fall * intervalMs + timeoutMs + 1_000
    /** It freezes with requests on their way to it, and thaws when all of them have been answered. */
    const freeze = async () => {
      await until(() => turnsOf(herd, 'a').at(-1) === 'ready')
      const before = turnsOf(herd, 'a').length
      herd.remotes[0]!.process.kill('SIGSTOP')
      const stoppedMs = performance.now()
      const waiting = Promise.all(Array.from({ length: 4 }, asks))
      waiting.catch(() => {})
      await until(async () => (await stateOf(herd, 'a')) === 'away')
      const awayMs = performance.now() - stoppedMs
      const answers = [...(await waiting), await asks(), await asks()]
      const answeredMs = performance.now() - stoppedMs
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
      expect(new Set(answers.map(({ headers }) => headers['x-chasqui-backend']))).toEqual(
        new Set(['b']),
      )
      const attempts = answers.map(({ headers }) => Number(headers['x-chasqui-attempts']))
      expect(attempts.slice(0, 4)).toContain(2)
      expect(attempts.slice(4)).toEqual([1, 1])
      herd.remotes[0]!.process.kill('SIGCONT')
      await until(() => turnsOf(herd, 'a').length >= before + 2)
      expect(turnsOf(herd, 'a').slice(before)).toEqual(['away', 'ready'])
      return Math.max(awayMs, answeredMs - 1_000)
    }
    expect(await inTime(limitMs, freeze)).toBeLessThan(limitMs)
  })

  it('is left at the limit for the first byte, where one is set, before any look has found out', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}],
      config: `${blind}\n${inOrder}\ntimeouts: { first_byte: 700ms }`,
    })
    const [a, b] = fleet.simulators
    a!.faults.add({ kind: 'hang' })
    const askedMs = async (status: number) => {
      const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
      expect(answer.status).toBe(status)
      expect(answer.headers['x-chasqui-backend']).toBe('b')
      return answer.tookMs
    }
    const movedMs = await inTime(1_700, () => askedMs(200))
    expect(movedMs).toBeGreaterThan(690)
    expect(movedMs).toBeLessThan(1_700)
    expect(fleet.ended[0]?.trail).toEqual(['a: timed out: firstByte'])
    // When nobody is left to go to it is the end, at the limit of the last one.
    b!.faults.add({ kind: 'hang' })
    expect(await inTime(2_400, () => askedMs(504))).toBeLessThan(2_400)
  })
})

const slots = 8
const restMs = 300
const slowStartMs = 1_600

describe('a server that comes back', () => {
  /** Fault catalogue 8 and 13. */
  it('is asked by one after each rest, each longer than the last, and gets its share bit by bit', async () => {
    const slow = { slots, answerTokens: 20, decodeTokensPerSecond: 100 }
    const turned: { state: string; atMs: number }[] = []
    await using fleet = await warmFleet({
      simulators: [slow, slow, slow],
      config: `${blind}\nbreaker: { failures: 3, rest: ${restMs}ms, slow_start: ${slowStartMs}ms }`,
      backend: (backend) => ({ ...backend, slots }),
      doors: {
        observer: {
          breakerTurned: (name, _, state) => {
            if (name === 'a') turned.push({ state, atMs: performance.now() })
          },
        },
      },
    })
    const [a] = fleet.simulators
    const endpoint = fleet.app.pool.endpoint('a')!
    let over = false
    const failed: number[] = []
    // Five for each of three servers; two of them have seats for all.
    const clients = Array.from({ length: 15 }, async () => {
      while (!over) {
        const { status } = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
        if (status !== 200) failed.push(status)
      }
    })
    const samples: { passedMs: number; inFlight: number }[] = []
    try {
      await until(() => endpoint.inFlight >= 4)
      a!.faults.add({ kind: 'status', status: 500 })
      await until(() => turned.filter(({ state }) => state === 'resting').length === 3)
      a!.faults.clear()
      a!.clearTrace()
      await until(() => turned.at(-1)?.state === 'admitting')
      const backMs = turned.at(-1)!.atMs
      await until(() => {
        samples.push({ passedMs: performance.now() - backMs, inFlight: endpoint.inFlight })
        return samples.at(-1)!.passedMs > slowStartMs + 600
      })
    } finally {
      over = true
      await Promise.all(clients)
    }
    expect(failed).toEqual([])

    expect(turned.map(({ state }) => state)).toEqual([
      'resting',
      ...['probation', 'resting'],
      ...['probation', 'resting'],
      ...['probation', 'admitting'],
    ])
    // Each rest is twice the last, give or take a tenth; somebody asks at once when it is over.
    for (const round of [0, 1, 2]) {
      const restedMs = turned[2 * round + 1]!.atMs - turned[2 * round]!.atMs
      expect(restedMs).toBeGreaterThanOrEqual(0.9 * restMs * 2 ** round - 5)
      expect(restedMs).toBeLessThan(1.1 * restMs * 2 ** round + 1_000)
    }
    const [probe, next] = a!.trace()
    expect(next!.arrival).toBeGreaterThanOrEqual(probe!.end!)

    for (const { passedMs, inFlight } of samples)
      if (passedMs < slowStartMs)
        expect(inFlight).toBeLessThanOrEqual(seatsForNow(slots, passedMs, slowStartMs))
    const mostIn = (fromMs: number, toMs: number) =>
      Math.max(
        ...samples
          .filter(({ passedMs }) => passedMs >= fromMs && passedMs < toMs)
          .map(({ inFlight }) => inFlight),
      )
    expect(mostIn(0, slowStartMs / 4)).toBe(1)
    expect(new Set(samples.map(({ inFlight }) => inFlight)).size).toBeGreaterThanOrEqual(4)
    expect(mostIn(slowStartMs, Infinity)).toBeGreaterThanOrEqual(4)
    await untilIdle(fleet)
  })

  it('takes at once whatever nobody else can', async () => {
    await using fleet = await warmFleet({
      simulators: [{ slots, answerTokens: 50, decodeTokensPerSecond: 100 }],
      config: 'probes: { interval: 200ms, timeout: 190ms }',
      backend: (backend) => ({ ...backend, slots }),
    })
    const [a] = fleet.simulators
    const endpoint = fleet.app.pool.endpoint('a')!
    a!.faults.add({ kind: 'status', status: 500, path: '*' })
    await until(() => endpoint.health.state === 'away')
    a!.faults.clear()
    await until(() => endpoint.ready)
    expect(endpoint.model(canonicalName(model))?.heldBack).toBe(false)
    const calls = Array.from({ length: slots }, () =>
      wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') }),
    )
    await until(() => asked(a) === slots, 1_000)
    // It is still coming back: had there been another, that one would have gone first.
    expect(endpoint.model(canonicalName(model))?.heldBack).toBe(true)
    const [one] = await Promise.all(calls)
    expect(one?.status).toBe(200)
  })
})
