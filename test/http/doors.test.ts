import { describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { doneLine, startFakeOllama } from '../help/fake-ollama.ts'
import { startFleet } from '../help/fleet.ts'
import { type Talk, talkTo } from '../help/talk.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, untilIdle, warmFleet } from '../help/warm-fleet.ts'

/** What a client sees must not depend on the door that it came in by. */
const doors = [
  { door: 'the net door', more: [] },
  // A name twice is not plain, and means nothing here.
  { door: 'the door of Node', more: ['X-Twice: a', 'X-Twice: b'] },
] as const

const endless = { answerTokens: 100_000, decodeTokensPerSecond: 500 }

function ask(more: readonly string[], body: object, fields: readonly string[] = []): string {
  const text = JSON.stringify(body)
  const head = ['POST /api/chat HTTP/1.1', 'Host: 127.0.0.1', `Content-Length: ${text.length}`]
  return `${[...head, ...more, ...fields].join('\r\n')}\r\n\r\n${text}`
}

const answered = (talk: Talk, count: number) => until(() => talk.heard().length >= count)

describe.each(doors)('through $door', ({ more }) => {
  it('one connection carries one request after another, streamed or whole', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    for (const [count, stream] of [true, false, true].entries()) {
      talk.send(ask(more, chat('hello', { stream })))
      await answered(talk, count + 1)
    }
    const [first, second] = talk.heard()
    expect(talk.heard().map(({ status }) => status)).toEqual([200, 200, 200])
    expect(first?.headers.get('transfer-encoding')).toBe('chunked')
    expect(first?.body).toContain('"done":true')
    expect(Number(second?.headers.get('content-length'))).toBe(second?.body.length)
    for (const { headers } of talk.heard()) {
      expect(headers.get('connection')).toBe('keep-alive')
      expect(headers.get('keep-alive')).toBe('timeout=75')
      expect(Date.parse(headers.get('date') ?? '')).toBeGreaterThan(0)
      expect(headers.get('x-chasqui-backend')).toBe('a')
    }
    expect(talk.closed).toBe(false)
    talk.socket.destroy()
  })

  it('lists may be asked for in between', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    const list = (target: string, ...fields: string[]) =>
      `${[`GET ${target} HTTP/1.1`, 'Host: 127.0.0.1', ...more, ...fields].join('\r\n')}\r\n\r\n`
    const sent = [
      list('/api/tags'),
      ask(more, chat('hello')),
      list('/v1/models?of=all'),
      list('/api/ps') + list('/queue-status') + ask(more, chat('and again')),
      list('/api/version', 'Connection: close'),
    ]
    for (const [at, text] of sent.entries()) {
      talk.send(text)
      await answered(talk, at < 3 ? at + 1 : at + 3)
    }
    await until(() => talk.closed)
    const heard = talk.heard()
    expect(heard.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200, 200])
    for (const { headers, body } of heard)
      if (headers.has('content-length'))
        expect(Number(headers.get('content-length'))).toBe(body.length)
    const names = (at: number, list: 'models' | 'data') =>
      (JSON.parse(heard[at]!.body) as Record<string, unknown[]>)[list]!.length
    expect(names(0, 'models')).toBeGreaterThan(0)
    expect(names(2, 'data')).toBe(names(0, 'models'))
    expect(names(3, 'models')).toBe(1)
    expect(JSON.parse(heard[6]!.body)).toHaveProperty('version')
  })

  it('a request may come in any pieces', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const text = ask(more, chat('piece by piece'))
    const bodyAt = text.indexOf('\r\n\r\n') + 4
    for (const cuts of [[5], [bodyAt - 2], [bodyAt], [bodyAt + 3], [bodyAt, bodyAt + 1]]) {
      const talk = talkTo(fleet.app.port)
      let from = 0
      for (const to of [...cuts, text.length]) {
        talk.send(text.slice(from, to))
        from = to
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
      await answered(talk, 1)
      expect(talk.heard()[0]?.status).toBe(200)
      talk.socket.destroy()
    }
  })

  it('requests sent ahead are answered in their order', async () => {
    await using fleet = await warmFleet({ simulators: [{ slots: 4 }], config: blind })
    const talk = talkTo(fleet.app.port)
    talk.send(ask(more, chat('one', { stream: true, options: { num_predict: 20 } })))
    await until(() => talk.raw().includes('200 OK'))
    talk.send(ask(more, chat('two')) + ask([], chat('three'), ['X-Request-Id: third']))
    await answered(talk, 3)
    expect(talk.heard().map(({ status }) => status)).toEqual([200, 200, 200])
    expect(talk.heard()[2]?.headers.get('x-request-id')).toBe('third')
    talk.socket.destroy()
  })

  it('the last request of a connection is its last', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    talk.send(ask(more, chat('bye'), ['Connection: close']))
    await until(() => talk.closed)
    expect(talk.heard()[0]?.headers.get('connection')).toBe('close')
    expect(talk.heard()[0]?.body).toContain('"done":true')
  })

  it.each(['resets', 'closes', 'closes half'])(
    'a client that %s is heard of at once',
    async (how) => {
      await using fleet = await warmFleet({ simulators: [endless], config: blind })
      const [a] = fleet.simulators
      const talk = talkTo(fleet.app.port)
      talk.send(ask(more, chat('hello', { stream: true })))
      await until(() => asked(a) === 1 && talk.raw().includes('"done":false'))
      if (how === 'resets') talk.socket.resetAndDestroy()
      else if (how === 'closes') talk.socket.destroy()
      else talk.socket.end()
      await untilIdle(fleet)
      expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed', status: 499 })
      talk.socket.destroy()
    },
  )

  it('a client that leaves while it sends leaves nothing held', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    talk.send(ask(more, chat('never whole')).slice(0, -10))
    await new Promise((resolve) => setTimeout(resolve, 50))
    talk.socket.destroy()
    await until(() => fleet.ended.length === 1)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed', attempts: 0 })
  })

  it('an error is said before all was sent, and heard by who still sends', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    const text = ask([...more, 'X-Chasqui-Priority: royal'], chat('x'.repeat(10_000)))
    talk.send(text.slice(0, 1_000))
    await until(() => talk.raw().includes('\r\n\r\n'))
    talk.send(text.slice(1_000))
    await until(() => talk.closed)
    expect(talk.heard()[0]).toMatchObject({ status: 400 })
    expect(talk.heard()[0]?.headers.get('connection')).toBe('close')
  })

  it('a name that is not ours and a page that may not call are refused', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    for (const [from, to] of [
      ['Host: 127.0.0.1', 'Host: evil.example'],
      ['Host: 127.0.0.1', 'Host: 127.0.0.1\r\nOrigin: http://evil.example'],
    ] as const) {
      const talk = talkTo(fleet.app.port)
      talk.send(ask(more, chat('hello')).replace(from, to))
      await answered(talk, 1)
      expect(talk.heard()[0]).toMatchObject({ status: 403, body: '' })
      talk.socket.destroy()
    }
  })

  it('a stop lets answers end and idle connections go', async () => {
    await using fleet = await warmFleet({
      simulators: [{ answerTokens: 40, decodeTokensPerSecond: 200, slots: 2 }],
      config: blind,
      settings: (settings) => ({
        ...settings,
        timeouts: { ...settings.timeouts, drainMs: 5_000 },
      }),
    })
    const idle = talkTo(fleet.app.port)
    idle.send(ask(more, chat('hello', { options: { num_predict: 1 } })))
    await answered(idle, 1)
    const busy = talkTo(fleet.app.port)
    busy.send(ask(more, chat('hello', { stream: true })))
    await until(() => busy.raw().includes('"done":false'))
    const stopped = fleet.app.stop()
    await until(() => idle.closed, 2_000)
    await stopped
    await until(() => busy.closed, 2_000)
    expect(busy.heard()[0]?.body).toContain('"done":true')
  })

  // Only the request's coming was looked at, and these had come before. Each answer behind a SIGTERM said keep-alive, and
  // the next request of nearly every client that believed it was lost.
  it('an answer that begins while it stops says that it is the last', async () => {
    await using fleet = await warmFleet({
      simulators: [{ answerTokens: 40, decodeTokensPerSecond: 100 }],
      config: blind,
      settings: (settings) => ({
        ...settings,
        timeouts: { ...settings.timeouts, drainMs: 5_000 },
      }),
    })
    const talk = talkTo(fleet.app.port)
    talk.send(ask(more, chat('hello')))
    await until(() => asked(fleet.simulators[0]) === 1)
    const stopped = fleet.app.stop()
    await answered(talk, 1)
    expect(talk.heard()[0]?.headers.get('connection')).toBe('close')
    await stopped
    talk.socket.destroy()
  })

  // A connection that had sent so much ahead was read no more, and then neither an end nor a reset is heard. The seat
  // stayed with a client that was gone, for as long as its answer went on.
  it('a client that has sent much ahead is heard when it leaves', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind })
    for (const behind of [ask(more, chat('next')), 'GET /api/tags HTTP/1.1\r\nHost: x\r\n\r\n']) {
      const talk = talkTo(fleet.app.port)
      const before = asked(fleet.simulators[0])
      talk.send(ask(more, chat('hello')))
      await until(() => asked(fleet.simulators[0]) > before)
      talk.send(behind.repeat(Math.ceil(200_000 / behind.length)))
      // It is in our hands, and more than we keep.
      await new Promise((resolve) => setTimeout(resolve, 300))
      talk.socket.resetAndDestroy()
      await untilIdle(fleet, 3_000)
    }
  })

  // The net door began with a request that came behind an answer, whatever of that was still unsent. Who asked and asked
  // and read nothing was worked for without end, and the answers filled the memory.
  it('a client that reads nothing is worked for no more when its answers fill the connection', async () => {
    await using unread = await unreadAnswers(more)
    expect(unread.served).toBeLessThan(unreadMax)
    unread.talk.socket.resume()
    await answered(unread.talk, unread.served + 1)
    expect(unread.talk.heard().every(({ body }) => body.endsWith(unread.answer))).toBe(true)
  })

  // An answer was held to be over when it had been handed to the socket. A client that read slowly while the proxy
  // stopped lost what its socket still held: its connection counted as idle, and idle ones were destroyed.
  it('a stop takes no end of an answer from a client that reads slowly', async () => {
    await using unread = await unreadAnswers(more)
    const { talk } = unread
    const stopped = unread.fleet.app.stop()
    await new Promise((resolve) => setTimeout(resolve, 200))
    talk.socket.resume()
    await stopped
    await until(() => talk.closed)
    expect(talk.heard().length).toBeGreaterThanOrEqual(unread.served)
    expect(talk.raw().split('HTTP/1.1 ').length - 1).toBe(talk.heard().length)
    expect(talk.heard().every(({ body }) => body.endsWith(unread.answer))).toBe(true)
  })
})

/** At 60 KB each: far more than any system keeps for somebody who does not read. */
const unreadMax = 500

/** A client that has asked and asked and read nothing, until the system and our socket hold no more for it. */
async function unreadAnswers(more: readonly string[]) {
  const resources = new AsyncDisposableStack()
  const answer = doneLine.replace('yes', 'y'.repeat(60_000))
  const ollama = resources.use(
    await startFakeOllama((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
    }),
  )
  const fleet = resources.use(
    await startFleet({
      simulators: [{}],
      backend: ({ name }) => backendAt(name, ollama.url),
      config: `${blind}\ncontinuation: false`,
      settings: (settings) => ({
        ...settings,
        timeouts: { ...settings.timeouts, drainMs: 10_000 },
      }),
    }),
  )
  await until(() => fleet.app.pool.endpoints[0]!.onDisk.size > 0)
  const talk = talkTo(fleet.app.port)
  resources.defer(() => void talk.socket.destroy())
  talk.socket.pause()
  let served = 0
  for (; served < unreadMax; served++) {
    talk.send(ask(more, chat('hello')))
    if (!(await happens(() => fleet.ended.length > served))) break
  }
  return { fleet, talk, answer, served, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** Whether it happens within a while that is long for a server beside us. */
async function happens(what: () => boolean): Promise<boolean> {
  return until(what, 700).then(
    () => true,
    () => false,
  )
}

describe('a packet of very many requests', () => {
  // Node reads all of a packet before it holds anything back. Fifteen hundred lists were made for one of 64 KB, and they
  // stayed in memory for as long as the client liked.
  it('is answered so far, and then the connection ends', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    talk.send('GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(1_000))
    await until(() => talk.closed)
    const heard = talk.heard()
    expect(heard.length).toBe(32)
    expect(heard.every(({ status, body }) => status === 200 && body.includes('"models"'))).toBe(
      true,
    )
    const says = heard.map(({ headers }) => headers.get('connection'))
    expect(says.slice(-2)).toEqual(['keep-alive', 'close'])
  })
})

describe('a connection that asks for nothing', () => {
  it('is told so after the limit, and closed', async () => {
    await using fleet = await warmFleet({
      simulators: [{}],
      config: blind,
      settings: (settings) => ({ ...settings, limits: { ...settings.limits, headMsMax: 300 } }),
    })
    const [silent, halfSaid] = [talkTo(fleet.app.port), talkTo(fleet.app.port)]
    halfSaid.send('POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n')
    await until(() => silent.closed && halfSaid.closed, 6_000)
    expect(silent.raw()).toContain('408 Request Timeout')
    expect(halfSaid.raw()).toContain('408 Request Timeout')
  })
})

describe('a connection that turns from one kind of request to the other', () => {
  it('is served all the same', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind })
    const talk = talkTo(fleet.app.port)
    talk.send(ask([], chat('plain')))
    await answered(talk, 1)
    talk.send('GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    await answered(talk, 2)
    talk.send(ask([], chat('plain again')))
    await answered(talk, 3)
    expect(talk.heard().map(({ status }) => status)).toEqual([200, 200, 200])
    expect(talk.heard()[1]?.body).toContain('"models"')
    talk.socket.destroy()
  })
})
