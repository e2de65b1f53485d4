import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { realClock } from '../../src/core/clock.ts'
import { lateWire } from '../../src/proxy/late-wire.ts'
import { netWire } from '../../src/proxy/net-wire/net-wire.ts'
import { until } from '../help/until.ts'

// A head that can not be sent once cost a connection: it was taken from the idle ones before the head was checked, and
// never came back, open and used by nobody.
it('keeps its idle connection when a request can not be written', async () => {
  const server = createServer((_request, response) => response.end('x'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const backend = backendAt('a', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const nothingElse = lateWire(() => Promise.reject(new Error('not wanted here')))
  const wire = netWire({ connectMs: 2_000 }, realClock(), nothingElse)
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
