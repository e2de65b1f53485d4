import { describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { ProgressLines } from '../../src/http/progress-lines.ts'
import { startFakeOllama } from '../help/fake-ollama.ts'
import { startFleet } from '../help/fleet.ts'
import { talkTo } from '../help/talk.ts'
import { until } from '../help/until.ts'
import { blind } from '../help/warm-fleet.ts'
import { exchangeFor, recordingClient } from '../proxy/help.ts'

const says = (status: string) => ({ status })
const layer = (digest: string, completed?: number) => ({
  status: `pulling ${digest}`,
  digest,
  total: 100,
  ...(completed === undefined ? {} : { completed }),
})

function linesFor() {
  const client = recordingClient()
  const exchange = exchangeFor(client)
  const lines = new ProgressLines(exchange, ['X-Request-Id', 'id'])
  const read = () =>
    client
      .text()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown)
  return { client, exchange, lines, read }
}

/** What waits for a drain goes on a moment behind it. */
const settled = () => new Promise(setImmediate)

describe('lines of progress', () => {
  it('all come to a client that reads, as they are told', () => {
    const { client, lines, read } = linesFor()
    const told = [says('pulling manifest'), layer('a', 1), layer('a', 2), layer('b'), layer('a', 3)]
    for (const [at, line] of told.entries()) {
      lines.tell(line)
      expect(read()).toEqual(told.slice(0, at + 1))
    }
    lines.end(says('success'))
    expect(read()).toEqual([...told, says('success')])
    expect(client).toMatchObject({ status: 200, how: 'ended' })
    expect(client.headers).toEqual({
      'content-type': 'application/x-ndjson',
      'x-accel-buffering': 'no',
      'x-request-id': 'id',
    })
  })

  it('are kept for a client that does not read, the latest of each layer and status in their order', async () => {
    const { client, lines, read } = linesFor()
    client.stall()
    lines.tell(says('pulling manifest'))
    for (let completed = 1; completed <= 50; completed++)
      for (const digest of ['a', 'b']) lines.tell(layer(digest, completed))
    lines.tell(says('verifying sha256 digest'))
    lines.tell(layer('a', 100))
    await settled()
    expect(read()).toEqual([says('pulling manifest')])
    client.drain()
    await settled()
    const caughtUp = [
      says('pulling manifest'),
      layer('a', 100),
      layer('b', 50),
      says('verifying sha256 digest'),
    ]
    expect(read()).toEqual(caughtUp)
    lines.tell(layer('b', 100))
    lines.end(says('success'))
    expect(read()).toEqual([...caughtUp, layer('b', 100), says('success')])
  })

  it('that were kept go out no faster than the client reads them', async () => {
    const { client, lines, read } = linesFor()
    client.stall()
    for (const status of ['one', 'two', 'three', 'four']) lines.tell(says(status))
    for (const count of [2, 3, 4]) {
      client.drain()
      client.stall()
      await settled()
      expect(read()).toHaveLength(count)
    }
  })

  it.each([says('success'), { error: 'b: disk full' }])(
    'end with the last one for a client that does not read as well: %o',
    (last) => {
      const { client, lines, read } = linesFor()
      client.stall()
      lines.tell(says('pulling manifest'))
      lines.tell(layer('a', 1))
      lines.tell(layer('a', 2))
      lines.end(last)
      expect(read()).toEqual([says('pulling manifest'), layer('a', 2), last])
      expect(client.how).toBe('ended')
    },
  )

  it('are no more behind the end of their exchange', async () => {
    const { client, exchange, lines, read } = linesFor()
    client.stall()
    lines.tell(says('pulling manifest'))
    lines.tell(layer('a', 1))
    exchange.stop()
    lines.tell(layer('a', 2))
    client.drain()
    await settled()
    lines.end(says('success'))
    expect(read()).toEqual([says('pulling manifest')])
    expect(client.how).toBe('open')
  })
})

describe('a pull whose progress nobody reads', () => {
  /** Some 29 MB in all: far more than any system keeps for somebody who does not read. */
  const linesMax = 200_000
  const digest = `sha256:${'a'.repeat(64)}`

  // Every line was written, whatever the client said of it. A client that slept through a pull had all of its
  // progress in our memory: 1.3 GB after twelve seconds.
  it('is told at last as far as it has come, not in all the lines that were missed', async () => {
    let told = 0
    await using ollama = await startFakeOllama((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      const tell = () => {
        for (let goesOn = true; goesOn && told < linesMax; ) {
          const lines = Array.from({ length: 500 }, () => ({
            status: 'pulling a',
            digest,
            total: linesMax,
            completed: ++told,
          }))
          goesOn = response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
        }
        if (told < linesMax) response.once('drain', tell)
        else response.end(`${JSON.stringify(says('success'))}\n`)
      }
      tell()
    })
    await using fleet = await startFleet({
      simulators: [{}],
      backend: ({ name }) => backendAt(name, ollama.url),
      config: blind,
    })
    await until(() => fleet.app.pool.endpoints[0]!.ready)
    const talk = talkTo(fleet.app.port)
    talk.socket.pause()
    const body = JSON.stringify({ model: 'new' })
    talk.send(
      `POST /api/pull HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await until(() => fleet.ended.length === 1, 20_000, 'the pull is over')
    talk.socket.resume()
    await until(() => talk.raw().endsWith('\r\n0\r\n\r\n'))
    const read = talk.heard()[0]!.body.trimEnd().split('\n')
    expect(read.length).toBeLessThan(linesMax / 2)
    expect(read.slice(-2).map((line) => JSON.parse(line) as unknown)).toEqual([
      { status: 'pulling a', digest, total: linesMax, completed: linesMax },
      says('success'),
    ])
    talk.socket.destroy()
  }, 40_000)
})
