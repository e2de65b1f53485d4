import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { realClock } from '../../../src/core/clock.ts'
import { realLoopTurn } from '../../../src/core/loop-turn.ts'
import { NetDoor } from '../../../src/http/net-door/net-door.ts'
import { until } from '../../help/until.ts'

const request = 'POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}'

// An answer was held to be over when it had been handed to the socket. A client that read slowly while the proxy
// stopped lost what its socket still held: its connection counted as idle, and idle ones were destroyed.
it('closes no connection as idle that has not sent all of its answer', async () => {
  const body = Buffer.alloc(32 * 1_048_576, 'x')
  const sockets: Socket[] = []
  const door = new NetDoor(
    { headMsMax: 10_000, keepAliveMs: 10_000 },
    {
      ...{ clock: realClock(), loopTurn: realLoopTurn(), wants: () => true, handOver: () => {} },
      serve: (turn) => turn.answer(200, ['Content-Length', String(body.length)], body),
    },
  )
  const server = createServer((socket) => {
    sockets.push(socket)
    door.take(socket)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  // Nobody reads yet.
  client.pause().write(request)
  await until(() => (sockets[0]?.writableLength ?? 0) > 0)

  door.closeIdle()
  let received = 0
  client.on('data', (piece) => {
    received += piece.length
  })
  client.resume()
  await until(() => received > body.length)
  await until(() => sockets[0]?.writableLength === 0)
  door.closeIdle()
  await until(() => client.destroyed || client.readableEnded)
  expect(received).toBeGreaterThan(body.length)
  client.destroy()
  server.close()
})
