import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/core/ask.ts'
import type { Outcome } from '../../src/core/outcome.ts'
import { Answer } from '../../src/proxy/answer.ts'
import { runAttempt } from '../../src/proxy/attempt.ts'
import { type HeldBody, SpoolTrouble } from '../../src/proxy/body.ts'
import { KeptBudget } from '../../src/proxy/kept.ts'
import {
  SocketTrouble,
  type Wire,
  type WireListener,
  type WireRequest,
} from '../../src/proxy/wire.ts'
import { handClock } from '../help/clock.ts'
import { settingsFrom } from '../help/fleet.ts'
import { backendOf, poolOf } from '../pool/help.ts'
import { bodyOf, exchangeFor, recordingClient } from './help.ts'

/** A wire whose other end is the test. */
function handWire() {
  const sent: WireRequest[] = []
  const done: string[] = []
  let listener: WireListener | undefined
  const wire: Wire = {
    send(_backend, request, hears) {
      sent.push(request)
      listener = hears
      return {
        pause: () => void done.push('pause'),
        resume: () => void done.push('resume'),
        abort: () => void done.push('abort'),
      }
    },
    stats: () => ({ open: 0, idle: 0 }),
    keepSpare() {},
    keepOnly() {},
    close: () => Promise.resolve(),
  }
  return { wire, sent, done, hears: () => listener! }
}

function attemptOf(
  options: { config?: string; body?: HeldBody; broken?: Outcome | undefined; op?: Op } = {},
) {
  const clock = handClock()
  const client = recordingClient()
  const { op = 'chat' } = options
  const exchange = exchangeFor(client, { body: options.body ?? bodyOf('{}'), ask: { op } })
  if (options.broken) exchange.attempts.push({ backend: 'x', outcome: options.broken })
  const answer = new Answer(
    exchange,
    {
      family: 'ollama',
      op,
      modelUnknownText: () => '',
      headers: [],
      continues: false,
      continuationWish: undefined,
      explains: false,
      now: () => clock.now(),
    },
    new KeptBudget(),
  )
  const endpoint = poolOf([backendOf('a')], { clock }).endpoint('a')!
  const lease = endpoint.take('m:latest', { seat: false, asTry: false })!
  const hand = handWire()
  const settings = settingsFrom(options.config ?? '', '/nowhere')
  const doors = { wire: hand.wire, clock, settings, hop: 'hop' }
  const start = () => runAttempt(exchange, lease, answer, doors)
  return { ...hand, clock, client, exchange, answer, lease, start }
}

const ndjson = ['Content-Type', 'application/x-ndjson']
const piece = Buffer.from('{"message":{}}\n')
const last = Buffer.from('{"done":true}\n')

/** How it went, if it is over by now. */
async function soFar(running: Promise<Outcome>): Promise<string> {
  return await Promise.race([running.then(({ kind }) => kind), Promise.resolve('running')])
}

describe('an attempt', () => {
  it('is not begun for a client that has left', async () => {
    const { client, start, sent } = attemptOf()
    client.leave()
    expect(await start()).toEqual({ kind: 'clientLeft' })
    expect(sent).toEqual([])
  })

  it('ends in the tick in which the client leaves, and tells the backend', async () => {
    const { client, start, done, hears } = attemptOf()
    const running = start()
    hears().head(200, ndjson)
    hears().data(piece)
    client.leave()
    expect(done).toEqual(['abort'])
    expect(await running).toEqual({ kind: 'clientLeft' })
    // What still comes in is heard by nobody.
    hears().data(piece)
    hears().failed(new SocketTrouble('late', { sent: true, reusedSocket: false }, new Error()))
    expect(client.text()).toBe(piece.toString())
  })

  it('reads no faster than the client, and listens once for each time it waits', async () => {
    const { client, start, done, hears } = attemptOf()
    const running = start()
    hears().head(200, ndjson)
    client.stall()
    for (let each = 0; each < 5; each++) hears().data(piece)
    expect(done).toEqual(['pause'])
    client.drain()
    expect(done).toEqual(['pause', 'resume'])
    hears().data(last)
    hears().ended()
    expect((await running).kind).toBe('answered')
  })

  it('has no timer of its own unless one is configured', async () => {
    const { clock, start, hears } = attemptOf()
    const running = start()
    clock.pass(86_400_000)
    hears().head(200, ndjson)
    hears().data(piece)
    clock.pass(86_400_000)
    expect(await soFar(running)).toBe('running')
  })

  it('ends at the configured limits, each counted from the last byte', async () => {
    const config = 'timeouts: { first_byte: 60s, idle: 10s }'
    const silent = attemptOf({ config })
    const waiting = silent.start()
    // The wire has a limit of its own for connecting.
    silent.clock.pass(60_000)
    expect(await soFar(waiting)).toBe('running')
    silent.hears().sent?.()
    silent.clock.pass(60_000)
    expect(await waiting).toMatchObject({ kind: 'timedOut', limit: 'firstByte' })

    const { clock, start, hears } = attemptOf({ config })
    const running = start()
    hears().sent?.()
    clock.pass(59_000)
    hears().head(200, ndjson)
    for (let each = 0; each < 5; each++) {
      clock.pass(9_000)
      hears().data(piece)
    }
    expect(await soFar(running)).toBe('running')
    clock.pass(10_000)
    expect(await running).toMatchObject({ kind: 'timedOut', limit: 'idle' })
  })

  it('holds the silence of a client that does not read against the client', async () => {
    const { client, clock, start, hears } = attemptOf({ config: 'timeouts: { idle: 10s }' })
    const running = start()
    hears().head(200, ndjson)
    client.stall()
    hears().data(piece)
    // Came in the same read, and is no word of a backend that was told to wait.
    hears().data(piece)
    clock.pass(9_999)
    expect(await soFar(running)).toBe('running')
    clock.pass(1)
    expect(await running).toEqual({ kind: 'clientLeft' })
  })

  it('moves on when the probes give the endpoint up, unless it has begun to answer', async () => {
    const silent = attemptOf()
    const waiting = silent.start()
    silent.lease.onAway?.()
    expect(await waiting).toMatchObject({ kind: 'unreachable' })

    const { start, lease, hears } = attemptOf()
    const running = start()
    hears().head(200, ndjson)
    hears().data(piece)
    lease.onAway?.()
    expect(await soFar(running)).toBe('running')
  })

  // A server that died behind its last line, before the transfer had its end, was taken to have broken off. Another one
  // was asked to go on with an answer that was whole, and the client had two last lines.
  it('is answered when the last line has come, whatever becomes of the transfer behind it', async () => {
    const lost = new SocketTrouble('lost', { sent: true, reusedSocket: false }, new Error())
    for (const ends of [
      (hears: WireListener) => hears.failed(lost),
      (_hears: WireListener, end: (outcome: Outcome) => void) =>
        end({ kind: 'unreachable', text: 'it is drained' }),
    ]) {
      const { start, hears, client, exchange } = attemptOf()
      const running = start()
      hears().head(200, ndjson)
      hears().data(piece)
      hears().data(last)
      ends(hears(), (outcome) => exchange.attempt!.end(outcome))
      expect(await running).toEqual({ kind: 'answered', status: 200 })
      expect(client.text()).toBe(`${piece}${last}`)
    }
    const { start, hears } = attemptOf()
    const running = start()
    hears().head(200, ndjson)
    hears().data(piece)
    hears().failed(lost)
    expect(await running).toMatchObject({ kind: 'brokeOff' })
  })

  // A server that froze in the middle of a refusal kept its client and a seat for ever: it had begun to speak, so it was
  // not given up, and had not begun an answer, so nobody went on with that.
  it('takes a refusal for said whose end does not come from a server that is given up', async () => {
    const { start, lease, hears, done } = attemptOf()
    const running = start()
    hears().head(503, ['Content-Type', 'application/json', 'Content-Length', '40'])
    hears().data(Buffer.from('{"error":'))
    lease.onAway?.()
    expect(await running).toMatchObject({ kind: 'refused', status: 503 })
    expect(done).toEqual(['abort'])
  })

  it('keeps a refusal word by word, but no more of it than anybody reads', async () => {
    const { start, hears, answer, client, done } = attemptOf()
    const running = start()
    hears().head(500, ['Content-Type', 'text/plain'])
    for (let each = 0; each < 40; each++) hears().data(Buffer.alloc(65_536, 'x'))
    const outcome = await running
    expect(outcome).toMatchObject({ kind: 'refused', status: 500 })
    expect(done).toEqual(['abort'])
    answer.finish(outcome)
    expect(client.text().length).toBe(1_048_576)
  })

  // A server in front of Ollama packed a stream that nobody had asked to be packed. It was cut at a line feed inside the
  // gzip, and a plain line of error followed under the same Content-Encoding, which no client could read.
  it('takes a packed answer for none, before anything of it has come', async () => {
    const { start, hears, answer, client, done } = attemptOf()
    const running = start()
    hears().head(200, [...ndjson, 'Content-Encoding', 'gzip'])
    hears().data(gzipSync(`${piece}${last}`))
    hears().ended()
    const outcome = await running
    expect(outcome).toMatchObject({ kind: 'refused', why: 'badAnswer' })
    expect(done).toEqual(['abort'])
    expect(client.started).toBe(false)
    answer.finish(outcome)
    expect([client.status, JSON.parse(client.text())]).toEqual([
      502,
      { error: expect.stringContaining('packed with gzip') },
    ])
    expect(client.headers).not.toHaveProperty('content-encoding')
  })

  it('passes a packed answer as it is where nothing in it is read', async () => {
    const { start, hears, client } = attemptOf({ op: 'show' })
    const running = start()
    hears().head(200, ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'])
    hears().data(Buffer.from('packed'))
    hears().ended()
    expect(await running).toEqual({ kind: 'answered', status: 200 })
    expect([client.text(), client.headers['content-encoding']]).toEqual(['packed', 'gzip'])
  })

  it('holds a body that can not be read again against nobody', async () => {
    const { start, hears } = attemptOf()
    const running = start()
    const cause = new SpoolTrouble('gone')
    hears().failed(new SocketTrouble('gone', { sent: true, reusedSocket: false }, cause))
    await expect(running).rejects.toMatchObject({ code: 'internal' })
  })

  it('goes over a connection of its own once one was lost before the first byte', () => {
    const lost = { kind: 'brokeOff', reusedSocket: false, text: '' } as const
    const freshAfter = (broken?: Outcome) => {
      const { start, sent } = attemptOf({ broken })
      void start()
      return sent[0]?.fresh
    }
    expect(freshAfter()).toBe(false)
    expect(freshAfter({ ...lost, afterFirstByte: false })).toBe(true)
    expect(freshAfter({ ...lost, afterFirstByte: false, reusedSocket: true })).toBe(true)
    // Its server was lost in the middle of an answer: that was no race.
    expect(freshAfter({ ...lost, afterFirstByte: true })).toBe(false)
  })
})
