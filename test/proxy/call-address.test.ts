import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { realClock } from '../../src/core/clock.ts'
import { addressDoor } from '../../src/proxy/call-address.ts'

const call = addressDoor(realClock(), 'hop')

async function serve(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('a call to an address that is no backend', () => {
  it('brings the answer whole, and says how it came', async () => {
    using server = await serve((request, response) => {
      request.resume()
      response.writeHead(201, { 'X-Says': request.headers.via }).end(request.headers['x-a'])
    })
    const answer = await call(server.origin, {
      method: 'POST',
      path: '/agent/hello',
      headers: ['x-a', 'b'],
      body: '{}',
      timeoutMs: 2_000,
    })
    expect([answer?.status, answer?.body.toString()]).toEqual([201, 'b'])
    expect(answer?.rawHeaders).toEqual(expect.arrayContaining(['X-Says', '1.1 hop']))
  })

  it('follows no redirect', async () => {
    let asked = 0
    using server = await serve((_request, response) => {
      asked++
      response.writeHead(302, { Location: '/elsewhere' }).end()
    })
    const answer = await call(server.origin, { method: 'GET', path: '/', timeoutMs: 2_000 })
    expect([answer?.status, asked]).toEqual([302, 1])
  })

  it('ends without an answer: too slow, too long, cut, no HTTP, nobody there', async () => {
    const get = (origin: string, timeoutMs = 2_000) =>
      call(origin, { method: 'GET', path: '/', timeoutMs })
    using slow = await serve((_request, response) => void response.write('a'))
    expect(await get(slow.origin, 100)).toBeUndefined()
    using long = await serve((_request, response) => void response.end('x'.repeat(65_537)))
    expect(await get(long.origin)).toBeUndefined()
    using cut = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('abc')
      setImmediate(() => response.destroy())
    })
    expect(await get(cut.origin)).toBeUndefined()
    const noise = createNetServer((socket) => socket.resume().end('hello\r\n\r\n'))
    noise.listen(0, '127.0.0.1')
    await once(noise, 'listening')
    const origin = `http://127.0.0.1:${(noise.address() as AddressInfo).port}`
    expect(await get(origin)).toBeUndefined()
    noise.close()
    await once(noise, 'close')
    expect(await get(origin)).toBeUndefined()
  })
})
