import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { InnerCall } from '../../src/core/inner-call.ts'
import { deafObserver, type ExchangeEnded } from '../../src/core/observer.ts'
import { Conformance } from '../../src/proxy/continuing/conformance.ts'
import { askInside } from '../../src/proxy/inner.ts'
import { Loads } from '../../src/proxy/loads.ts'
import { Queue } from '../../src/proxy/queue.ts'
import { Server } from '../../src/proxy/serve.ts'
import {
  SocketTrouble,
  type Wire,
  type WireListener,
  type WireRequest,
} from '../../src/proxy/wire.ts'
import { handClock } from '../help/clock.ts'
import { settingsFrom } from '../help/fleet.ts'
import { backendOf, poolOf } from '../pool/help.ts'

interface Sent {
  readonly backend: string
  readonly request: WireRequest
  readonly hears: WireListener
  aborted: boolean
  paused: boolean
}

/** A whole proxy in front of backends whose every byte is the test's; one seat at each. */
function innerOver(names: readonly string[], config = '') {
  const clock = handClock()
  const sent: Sent[] = []
  const loading: { backend: string; answer: (status: number) => void }[] = []
  const ended: ExchangeEnded[] = []
  const wire: Wire = {
    send({ name }, request, hears) {
      const call: Sent = { backend: name, request, hears, aborted: false, paused: false }
      sent.push(call)
      const abort = () => {
        call.aborted = true
      }
      const pause = (paused: boolean) => () => {
        call.paused = paused
      }
      return { pause: pause(true), resume: pause(false), abort }
    },
    stats: () => ({ open: 0, idle: 0 }),
    keepSpare() {},
    keepOnly() {},
    close: () => Promise.resolve(),
  }
  const observer = deafObserver({ exchangeEnded: (fact) => void ended.push(fact) })
  const pool = poolOf(
    names.map((name) => backendOf(name, { slots: 1 })),
    { clock },
  )
  const settings = settingsFrom(config, '/nowhere')
  const queue = new Queue(pool, settings, clock)
  const loads = new Loads(
    ({ name: backend }) =>
      new Promise((resolve) => {
        loading.push({
          backend,
          answer: (status) => resolve({ outcome: { kind: 'answered', status }, answer: undefined }),
        })
      }),
    clock,
    observer,
  )
  const server = new Server({
    pool,
    queue,
    loads,
    wire,
    clock,
    observer,
    settings,
    hop: 'hop',
    conformance: new Conformance({
      clock,
      isIdle: () => false,
      isThere: () => false,
      askAt: () => () => Promise.reject(new Error('nobody is asked here')),
      ended() {},
    }),
    refresh: () => Promise.resolve(),
    refreshForUnknown: () => Promise.resolve(),
  })
  const loaded = () => {
    for (const endpoint of pool.endpoints) endpoint.learnLoaded('m:latest')
  }
  const isIdle = () =>
    queue.size === 0 &&
    pool.endpoints.every(({ inFlight, leases }) => inFlight === 0 && leases.size === 0)
  return {
    ask: askInside({ server, clock }),
    clock,
    sent,
    loading,
    ended,
    pool,
    server,
    loaded,
    isIdle,
  }
}

const call = (more: Partial<InnerCall> = {}): InnerCall => ({
  id: 'run.1',
  path: '/api/generate',
  body: Buffer.from('{"model":"m","prompt":"hello","stream":false}'),
  tenant: 't',
  priority: 'batch',
  labels: [],
  work: '',
  deadlineMs: undefined,
  except: new Set(),
  ...more,
})

async function turns(count = 20): Promise<void> {
  for (let each = 0; each < count; each++) await Promise.resolve()
}

const json = ['Content-Type', 'application/json']
const ndjson = ['Content-Type', 'application/x-ndjson']
const whole = Buffer.from('{"response":"hi","done":true,"done_reason":"stop","eval_count":2}')

function answer({ hears }: Sent, body: Buffer = whole, status = 200): void {
  hears.head(status, [...json, 'Content-Length', String(body.length)])
  hears.data(body)
  hears.ended()
}

/** How much of an answer without end a backend gave before it was left. */
function mibUntilLeft(sent: Sent, most: number): number {
  const piece = Buffer.alloc(1_048_576, 0x20)
  sent.hears.head(200, json)
  let given = 0
  for (; given < most && !sent.aborted; given++) sent.hears.data(piece)
  return given
}

describe('a request of our own', () => {
  it('is sent as it is, and its answer stays here, with who gave it and how long it took', async () => {
    const { ask, sent, clock, ended, loaded, isIdle } = innerOver(['a'])
    loaded()
    const running = ask(call())
    await turns()
    expect(sent[0]!.request).toMatchObject({ method: 'POST', path: '/api/generate' })
    expect(String(sent[0]!.request.body)).toBe(String(call().body))
    expect([running.backend, running.onSeatSinceMs]).toEqual(['a', clock.now()])
    clock.pass(250)
    answer(sent[0]!)
    const got = await running.answer
    expect(got).toMatchObject({
      status: 200,
      code: undefined,
      backend: 'a',
      attempts: 1,
      waitMs: 0,
      servedMs: 250,
    })
    expect(got.body).toEqual(whole)
    expect(isIdle()).toBe(true)
    expect(ended).toMatchObject([{ id: 'run.1', ending: 'ok', priority: 'batch', tenant: 't' }])
  })

  it('shows whole frames as they come, and keeps none of them', async () => {
    const { ask, sent, loaded } = innerOver(['a'])
    loaded()
    const frames: string[] = []
    const body = Buffer.from('{"model":"m","prompt":"hello","stream":true}')
    const running = ask(call({ body, onFrames: (bytes) => void frames.push(String(bytes)) }))
    await turns()
    const { hears } = sent[0]!
    hears.head(200, ndjson)
    hears.data(Buffer.from('{"response":"a","done":false}\n{"resp'))
    expect(frames.join('')).toBe('{"response":"a","done":false}\n')
    hears.data(Buffer.from('onse":"b","done":true}\n'))
    hears.ended()
    const { status, body: kept } = await running.answer
    expect([status, kept.length]).toEqual([200, 0])
    expect(frames.join('').split('\n')).toHaveLength(3)
  })

  it('is not asked where it must not be', async () => {
    const { ask, sent, loaded, isIdle } = innerOver(['a', 'b'])
    loaded()
    const first = ask(call({ except: new Set(['a']) }))
    const second = ask(call({ id: 'run.2', except: new Set(['a']) }))
    await turns()
    // The seat of a is free, and is not taken.
    expect(sent.map(({ backend }) => backend)).toEqual(['b'])
    answer(sent[0]!)
    await first.answer
    await turns()
    expect(sent.map(({ backend }) => backend)).toEqual(['b', 'b'])
    answer(sent[1]!)
    expect(await second.answer).toMatchObject({ backend: 'b', attempts: 1 })
    const nowhere = await ask(call({ except: new Set(['a', 'b']) })).answer
    expect(nowhere).toMatchObject({ status: 404, code: 'model_unknown', backend: '' })
    expect(isIdle()).toBe(true)
  })

  it('is tried elsewhere when a backend dies, like every request', async () => {
    const { ask, sent, loaded } = innerOver(['a', 'b'])
    loaded()
    const running = ask(call())
    await turns()
    const how = { reusedSocket: false, sent: true }
    sent[0]!.hears.failed(new SocketTrouble('reset', how, new Error('reset')))
    await turns()
    expect(sent).toHaveLength(2)
    expect(running.backend).toBe(sent[1]!.backend)
    answer(sent[1]!)
    expect(await running.answer).toMatchObject({ status: 200, attempts: 2 })
  })

  it('is tried elsewhere when its answer comes packed', async () => {
    const { ask, sent, pool, loaded } = innerOver(['a', 'b'])
    loaded()
    const running = ask(call())
    await turns()
    sent[0]!.hears.head(200, [...json, 'Content-Encoding', 'br'])
    await turns()
    expect([sent[0]!.aborted, sent.length]).toEqual([true, 2])
    answer(sent[1]!)
    expect(await running.answer).toMatchObject({ status: 200, body: whole, attempts: 2 })
    expect(pool.endpoint(sent[0]!.backend)?.lastError).toContain('packed with br')
  })
})

describe('an answer that is shown as it comes', () => {
  it('holds its backend up while whoever asked is not ready for more', async () => {
    const { ask, sent, loaded } = innerOver(['a'])
    loaded()
    let go = () => {}
    const ready = new Promise<void>((resolve) => {
      go = resolve
    })
    const running = ask(
      call({
        body: Buffer.from('{"model":"m","prompt":"hello","stream":true}'),
        onFrames: () => ready,
      }),
    )
    await turns()
    const { hears } = sent[0]!
    hears.head(200, ndjson)
    hears.data(Buffer.from('{"response":"one","done":false}\n'))
    expect(sent[0]!.paused).toBe(true)
    go()
    await turns()
    expect(sent[0]!.paused).toBe(false)
    hears.data(Buffer.from('{"response":"","done":true}\n'))
    hears.ended()
    expect(await running.answer).toMatchObject({ status: 200 })
  })
})

describe('how it failed', () => {
  // Ten parts whose backend sent 91 MB for each were held whole, and took 2.9 GB. A bound of 128 MiB, which is for
  // embeddings, had been that of texts as well.
  it('is said of an answer that is larger than any text, and its backend is left', async () => {
    const { ask, sent, ended, loaded, isIdle } = innerOver(['a'])
    loaded()
    const running = ask(call())
    await turns()
    expect(mibUntilLeft(sent[0]!, 32)).toBe(9)
    const { status, code, body } = await running.answer
    expect([status, code]).toEqual([502, 'upstream_failed'])
    expect(JSON.parse(String(body))).toMatchObject({ detail: expect.stringContaining('8388608') })
    expect(ended).toMatchObject([{ ending: 'upstream_error', backend: 'a' }])
    expect(isIdle()).toBe(true)
  })

  it('is kept to itself where another backend has a better answer', async () => {
    const { ask, sent, pool, loaded } = innerOver(['a', 'b'])
    loaded()
    const running = ask(call())
    await turns()
    mibUntilLeft(sent[0]!, 32)
    await turns()
    expect(sent).toHaveLength(2)
    answer(sent[1]!)
    expect(await running.answer).toMatchObject({ status: 200, body: whole, attempts: 2 })
    expect(pool.endpoint(sent[0]!.backend)?.lastError).toContain('larger')
  })

  it.each([
    [1, 9],
    [100, 40],
    [1_000, 129],
  ])('is said of embeddings of %i texts after %i MiB', async (embeds, mib) => {
    const { ask, sent, loaded } = innerOver(['a'])
    loaded()
    const body = Buffer.from('{"model":"m","input":["a"]}')
    const running = ask(call({ path: '/api/embed', body, embeds }))
    await turns()
    expect(mibUntilLeft(sent[0]!, 200)).toBe(mib)
    const { status, body: said } = await running.answer
    expect([status, JSON.parse(String(said))]).toEqual([
      502,
      { error: expect.stringContaining('larger') },
    ])
  })

  it.each([
    ['in our own words, with their code', 'stopping', 503],
    ['for a deadline', 'total_timeout', 504],
  ] as const)('is said %s', async (_name, code, status) => {
    const { ask, sent, clock, server, loaded, isIdle } = innerOver(['a'])
    loaded()
    const running = ask(call({ deadlineMs: clock.now() + 100 }))
    await turns()
    if (code === 'stopping') server.stopRunning()
    else clock.pass(101)
    expect(await running.answer).toMatchObject({ status, code, backend: 'a' })
    expect([sent[0]!.aborted, isIdle()]).toEqual([true, true])
  })

  it('is a problem document with our code for what a backend refuses', async () => {
    const { ask, sent, loaded } = innerOver(['a'])
    loaded()
    const running = ask(call())
    await turns()
    answer(sent[0]!, Buffer.from('{"error":"bad options"}'), 400)
    const { status, code, body } = await running.answer
    expect([status, code]).toEqual([400, 'request_invalid'])
    expect(JSON.parse(String(body))).toMatchObject({ detail: 'bad options' })
  })

  it("is said in a backend's own words for embeddings, which have no code of ours", async () => {
    const { ask, sent, loaded } = innerOver(['a'])
    loaded()
    for (const said of [
      '{"error":"too long"}',
      '{"error":"x","code":"toString"}',
      '{"error":"x","code":5}',
      'null',
      '<html>',
    ]) {
      const body = Buffer.from('{"model":"m","input":["a"]}')
      const running = ask(call({ path: '/api/embed', body }))
      await turns()
      answer(sent.at(-1)!, Buffer.from(said), 400)
      const { status, code, body: got } = await running.answer
      expect([status, code, String(got)]).toEqual([400, undefined, said])
    }
  })

  it('is a cut answer where the stream breaks off after its first frame', async () => {
    const { ask, sent, loaded, isIdle } = innerOver(['a'])
    loaded()
    const frames: string[] = []
    const running = ask(call({ onFrames: (bytes) => void frames.push(String(bytes)) }))
    await turns()
    const { hears } = sent[0]!
    hears.head(200, ndjson)
    hears.data(Buffer.from('{"response":"a","done":false}\n'))
    hears.failed(
      new SocketTrouble('reset', { reusedSocket: false, sent: true }, new Error('reset')),
    )
    // The frames that were shown end with a line that says so.
    expect(await running.answer).toMatchObject({ backend: 'a', attempts: 1 })
    expect(frames.join('')).toMatch(/^\{"response":"a","done":false\}\n\{.*"error":.*\}\n$/)
    expect(isIdle()).toBe(true)
  })

  it('is refused at once for a body that no route takes', () => {
    const { ask } = innerOver(['a'])
    const refused = { code: 'request_invalid', message: expect.stringContaining('unexpected EOF') }
    expect(() => ask(call({ body: Buffer.from('{"prompt":5') }))).toThrow(
      expect.objectContaining(refused),
    )
  })
})

describe('cancelling', () => {
  it('while it waits in line leaves the line in the same tick', async () => {
    const { ask, sent, loaded, pool, isIdle } = innerOver(['a'])
    loaded()
    const holder = ask(call())
    await turns()
    const waiting = ask(call({ id: 'run.2' }))
    await turns()
    expect([waiting.backend, waiting.onSeatSinceMs]).toEqual(['', undefined])
    waiting.cancel()
    expect(await waiting.answer).toMatchObject({ status: 499, backend: '', servedMs: 0 })
    expect(sent).toHaveLength(1)
    expect(pool.endpoints[0]!.inFlight).toBe(1)
    answer(sent[0]!)
    await holder.answer
    expect(isIdle()).toBe(true)
  })

  it('while its model is loaded leaves the load to go on', async () => {
    const { ask, sent, loading, isIdle } = innerOver(['a'])
    const running = ask(call())
    await turns()
    expect(loading).toHaveLength(1)
    running.cancel()
    expect(await running.answer).toMatchObject({ status: 499, backend: 'a' })
    expect([isIdle(), sent.length]).toEqual([true, 0])
    loading[0]!.answer(200)
    await turns()
    expect(sent).toHaveLength(0)
  })

  it('after its end changes nothing', async () => {
    const { ask, sent, ended, loaded } = innerOver(['a'])
    loaded()
    const running = ask(call())
    await turns()
    answer(sent[0]!)
    const { status, body } = await running.answer
    running.cancel()
    await turns()
    expect([status, body, ended.length]).toEqual([200, whole, 1])
    expect(await running.answer).toMatchObject({ status: 200 })
  })

  it('leaves nothing behind in whatever moment, of however many', async () => {
    const step = fc.constantFrom('ask', 'cancel', 'head', 'data', 'end', 'fail', 'turn', 'turn')
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(fc.tuple(step, fc.nat(5)), { maxLength: 30 }),
        async (resident, steps) => {
          const { ask, sent, loading, ended, loaded, isIdle } = innerOver(['a', 'b'])
          if (resident) loaded()
          const running: ReturnType<typeof ask>[] = []
          const over = new Set<Sent>()
          for (const [what, which] of steps) {
            const open = sent.filter((each) => !each.aborted && !over.has(each))
            const one = open[which % Math.max(1, open.length)]
            if (what === 'ask') running.push(ask(call({ id: `run.${running.length + 1}` })))
            else if (what === 'cancel') running[which % Math.max(1, running.length)]?.cancel()
            else if (what === 'turn') await turns(which)
            else if (one && what === 'end') {
              over.add(one)
              answer(one)
            } else if (one && what === 'fail') {
              over.add(one)
              const how = { reusedSocket: false, sent: false }
              one.hears.failed(new SocketTrouble('refused', how, new Error('refused')))
            }
          }
          for (const each of running) each.cancel()
          for (const { answer: done } of loading) done(200)
          const answers = await Promise.all(running.map((each) => each.answer))
          expect(answers.every(({ status }) => status > 0)).toBe(true)
          await turns()
          expect(isIdle()).toBe(true)
          expect(ended).toHaveLength(running.length)
          // Whatever was begun was ended, or told that nobody wants it.
          expect(sent.every((each) => each.aborted || over.has(each))).toBe(true)
        },
      ),
      { numRuns: 200 },
    )
  })
})
