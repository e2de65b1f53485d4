import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { type Clock, realClock } from '../../src/core/clock.ts'
import { realLoopTurn } from '../../src/core/loop-turn.ts'
import { Addresses } from '../../src/proxy/addresses.ts'
import { lateWire } from '../../src/proxy/late-wire.ts'
import { netWire } from '../../src/proxy/net-wire/net-wire.ts'
import type { Wire } from '../../src/proxy/wire.ts'
import { handClock } from '../help/clock.ts'
import { until } from '../help/until.ts'

// A head that can not be sent once cost a connection: it was taken from the idle ones before the head was checked, and
// never came back, open and used by nobody.
it('keeps its idle connection when a request can not be written', async () => {
  const server = createServer((_request, response) => response.end('x'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const backend = backendAt('a', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const clock = realClock()
  const wire = wireBy(clock)
  const listener = { head() {}, data() {}, ended() {}, failed() {} }
  const send = (headers: string[]) =>
    wire.send(backend, { method: 'GET', path: '/p', headers, body: undefined }, listener)

  send(['Host', 'x'])
  await until(() => wire.stats(backend).idle === 1, 2_000)
  expect(() => send(['Host', 'x', 'X-Bad', 'a\r\nb: c'])).toThrow('line break')
  expect(wire.stats(backend)).toEqual({ open: 1, idle: 1 })

  await wire.close()
  await new Promise((resolve) => server.close(resolve))
})

it('closes at once what nobody uses when the name of the server has another address', async () => {
  const server = createServer((_request, response) => response.end('x'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const backend = backendAt('a', `http://den.test:${port}`)
  const time = handClock()
  let address = '127.0.0.1'
  const addresses = new Addresses({
    clock: time,
    resolve: async () => [{ address, family: 4 }],
    refreshMs: 5_000,
  })
  const wire = wireBy(realClock(), addresses)
  const listener = { head() {}, data() {}, ended() {}, failed() {} }
  const request = { method: 'GET', path: '/', headers: ['Host', 'den.test'], body: undefined }
  for (let each = 0; each < 3; each++) wire.send(backend, request, listener)
  await until(() => wire.stats(backend).idle === 3, 2_000)
  time.pass(5_000)
  await new Promise((resolve) => void setImmediate(resolve))
  expect(wire.stats(backend)).toEqual({ open: 3, idle: 3 })
  address = '127.0.0.2'
  time.pass(5_000)
  await new Promise((resolve) => void setImmediate(resolve))
  expect(wire.stats(backend)).toEqual({ open: 0, idle: 0 })

  addresses.close()
  await wire.close()
  await new Promise((resolve) => server.close(resolve))
})

it('opens spare connections a few at a time, uses them, and lets them go when they are not wanted', async () => {
  const server = createServer((_request, response) => response.end('x'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const backend = backendAt('a', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const time = handClock()
  const wire = wireBy(time)
  const listener = { head() {}, data() {}, ended() {}, failed() {} }
  const request = { method: 'GET', path: '/', headers: ['Host', 'x'], body: undefined }

  wire.keepSpare(backend, 0)
  expect(wire.stats(backend)).toEqual({ open: 0, idle: 0 })
  wire.keepSpare(backend, 20)
  expect(wire.stats(backend).open).toBeLessThanOrEqual(4)
  await until(() => wire.stats(backend).idle === 20, 2_000)
  wire.keepSpare(backend, 20)
  expect(wire.stats(backend)).toEqual({ open: 20, idle: 20 })

  for (let each = 0; each < 5; each++) wire.send(backend, request, listener)
  expect(wire.stats(backend)).toEqual({ open: 20, idle: 15 })
  await until(() => wire.stats(backend).idle === 20, 2_000)

  // Ordinary idle connections go after 30 s, those that are wanted stay.
  wire.keepSpare(backend, 8)
  time.pass(30_000)
  expect(wire.stats(backend)).toEqual({ open: 8, idle: 8 })
  wire.keepSpare(backend, 0)
  time.pass(30_000)
  expect(wire.stats(backend)).toEqual({ open: 0, idle: 0 })

  await wire.close()
  await new Promise((resolve) => server.close(resolve))
})

it('closes what a server has ended later, when all that must go on elsewhere has been told', async () => {
  const server = createServer((_request, response) => void response.flushHeaders())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const backend = backendAt('a', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const clock = handClock()
  const wire = wireBy(clock)
  const errors: Error[] = []
  let heads = 0
  const listener = {
    head: () => void heads++,
    data() {},
    ended() {},
    failed: (error: Error) => void errors.push(error),
  }
  const request = { method: 'GET', path: '/', headers: ['Host', 'x'], body: undefined }
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket.on('close', () => open.delete(socket)))
  })
  for (let each = 0; each < 3; each++) wire.send(backend, request, listener)
  await until(() => heads === 3, 2_000)

  for (const socket of open) socket.end()
  await until(() => errors.length === 3, 2_000)
  expect(wire.stats(backend)).toEqual({ open: 0, idle: 0 })
  expect(open.size).toBe(3)
  // A stack for each would say nothing, and cost a tenth of the pause.
  expect(errors.map(({ stack }) => stack)).toEqual(Array(3).fill('Error: other side closed'))
  expect(Error.stackTraceLimit).toBeGreaterThan(0)
  clock.pass(200)
  await until(() => open.size === 0, 2_000)

  await wire.close()
  await new Promise((resolve) => server.close(resolve))
})

/** For what is plain only. */
function wireBy(clock: Clock, addresses = new Addresses({ clock })): Wire {
  const nothingElse = lateWire(() => Promise.reject(new Error('not wanted here')))
  return netWire({ connectMs: 2_000 }, clock, nothingElse, addresses, realLoopTurn())
}
