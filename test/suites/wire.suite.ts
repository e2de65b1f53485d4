import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { type Clock, realClock } from '../../src/core/clock.ts'
import type { Outcome } from '../../src/core/outcome.ts'
import { judgeError } from '../../src/proxy/judge.ts'
import type { Wire, WireCall } from '../../src/proxy/wire.ts'
import { until } from '../help/until.ts'

interface Heard {
  /** What was heard, in order, each once. */
  order: string[]
  status: number
  rawHeaders: readonly string[]
  body: string
  end: 'ended' | Outcome | undefined
}

/** What every Wire promises; told by a server that writes its bytes by hand. */
export function wireSuite(
  name: string,
  make: (settings: { connectMs: number }, clock: Clock) => Wire,
): void {
  describe(name, () => {
    let server: Server | undefined
    let wire: Wire | undefined
    const sockets = new Set<Socket>()

    afterEach(async () => {
      await wire?.close()
      wire = undefined
      for (const socket of sockets) socket.destroy()
      sockets.clear()
      await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)))
      server = undefined
    })

    /** Answers the n-th request (from 0, over all connections) as `act` says. */
    async function serve(act: (socket: Socket, request: string, index: number) => void) {
      let count = 0
      server = createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => {})
        let text = ''
        socket.on('data', (chunk) => {
          text += chunk.toString('latin1')
          if (!text.includes('\r\n\r\n')) return
          const request = text
          text = ''
          act(socket, request, count++)
        })
      })
      await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      if (typeof address !== 'object' || address === null) throw new Error('no address')
      return backendAt('a', `http://127.0.0.1:${address.port}`)
    }

    function ask(
      backend: ReturnType<typeof backendAt>,
      more: { method?: string; body?: string } = {},
    ): { heard: Heard; call: WireCall; over: Promise<Heard> } {
      wire ??= make({ connectMs: 2_000 }, realClock())
      const heard: Heard = { order: [], status: 0, rawHeaders: [], body: '', end: undefined }
      const { promise, resolve } = Promise.withResolvers<Heard>()
      const body = more.body === undefined ? undefined : Buffer.from(more.body)
      const headers = ['Host', 'x', ...(body ? ['Content-Length', String(body.length)] : [])]
      const call = wire.send(
        backend,
        { method: more.method ?? 'GET', path: '/p?q=1', headers, body },
        {
          sent() {
            heard.order.push('sent')
          },
          head(status, rawHeaders) {
            heard.order.push('head')
            heard.status = status
            heard.rawHeaders = rawHeaders
          },
          data(chunk) {
            heard.body += chunk.toString('latin1')
          },
          ended() {
            heard.end = 'ended'
            resolve(heard)
          },
          failed(error) {
            heard.end = judgeError(error, heard.status !== 0)
            resolve(heard)
          },
        },
      )
      return { heard, call, over: promise }
    }

    /** The connection has come back to where the next request takes it from. */
    const idle = (backend: ReturnType<typeof backendAt>) =>
      until(() => wire?.stats(backend).idle === 1, 2_000)

    const answer = (body: string, more = '') =>
      `HTTP/1.1 200 OK\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

    it('sends one unambiguous request and gives the answer on as it came', async () => {
      let request = ''
      const backend = await serve((socket, text) => {
        request = text
        socket.write(answer('hello', 'X-Odd-Case: yes\r\n'))
      })
      const heard = await ask(backend, { method: 'POST', body: '{"a": 1}' }).over
      expect(heard).toMatchObject({ status: 200, body: 'hello', end: 'ended' })
      expect(heard.order).toEqual(['sent', 'head'])
      expect(heard.rawHeaders).toEqual(['X-Odd-Case', 'yes', 'Content-Length', '5'])
      expect(request.startsWith('POST /p?q=1 HTTP/1.1\r\n')).toBe(true)
      expect(request.match(/content-length/gi)).toHaveLength(1)
      expect(request.endsWith('\r\n\r\n{"a": 1}')).toBe(true)
    })

    it('reads a chunked answer wherever it is cut', { timeout: 60_000 }, async () => {
      const text =
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-T: 1\r\n\r\n'
      const cuts = [...Array.from({ length: text.length - 1 }, (_, index) => index + 1)].filter(
        (cut) => cut % 7 === 1 || cut > text.length - 8,
      )
      const backend = await serve((socket, _request, index) => {
        const cut = cuts[index]!
        socket.write(text.slice(0, cut), 'latin1', () =>
          setImmediate(() => socket.write(text.slice(cut), 'latin1')),
        )
      })
      for (const _ of cuts)
        expect(await ask(backend).over).toMatchObject({ body: 'hello world', end: 'ended' })
    })

    it('uses a connection again, and never while an answer runs on it', async () => {
      const seen: Socket[] = []
      const backend = await serve((socket) => {
        seen.push(socket)
        socket.write(answer('x'))
      })
      await ask(backend).over
      await idle(backend)
      await ask(backend).over
      expect(new Set(seen).size).toBe(1)
      await idle(backend)
      await Promise.all([ask(backend).over, ask(backend).over])
      expect(new Set(seen).size).toBe(2)
    })

    it('takes an answer that ends with its connection', async () => {
      const backend = await serve((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nto the end'))
      expect(await ask(backend).over).toMatchObject({ body: 'to the end', end: 'ended' })
    })

    it('expects no body where there is none', async () => {
      const backend = await serve((socket, _request, index) =>
        socket.write(
          index === 0
            ? 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n'
            : index === 1
              ? 'HTTP/1.1 204 No Content\r\n\r\n'
              : answer('next'),
        ),
      )
      expect(await ask(backend, { method: 'HEAD' }).over).toMatchObject({ status: 200, body: '' })
      expect(await ask(backend).over).toMatchObject({ status: 204, body: '', end: 'ended' })
      expect(await ask(backend).over).toMatchObject({ body: 'next' })
    })

    it('passes over an early hint', async () => {
      const backend = await serve((socket) =>
        socket.write(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${answer('real')}`),
      )
      expect(await ask(backend).over).toMatchObject({ status: 200, body: 'real' })
    })

    const lies: [string, string][] = [
      ['junk', 'SSH-2.0-OpenSSH\r\n\r\n'],
      ['a bad status line', 'HTTP/1.1 abc\r\n\r\n'],
      [
        'a length and an encoding',
        'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
      ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy'],
      ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx'],
      ['40 KB of head', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`],
      [
        'an uninvited 101',
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      ],
    ]
    for (const [lie, bytes] of lies)
      it(`judges ${lie} as a fault of the server, and asks the next on a new connection`, async () => {
        const seen: Socket[] = []
        const backend = await serve((socket, _request, index) => {
          seen.push(socket)
          socket.write(index === 0 ? bytes : answer('honest'))
        })
        expect((await ask(backend).over).end).toMatchObject({ kind: 'refused', status: 502 })
        expect(await ask(backend).over).toMatchObject({ body: 'honest' })
        expect(new Set(seen).size).toBe(2)
      })

    it('never gives one request the bytes of another', async () => {
      const backend = await serve((socket, _request, index) => {
        socket.write(answer(`mine ${index}`) + answer('STOLEN'))
      })
      for (let index = 0; index < 20; index++) {
        const heard = await ask(backend).over
        expect(heard.body).toBe(`mine ${index}`)
      }
    })

    it('drops a connection that speaks while nobody asked', async () => {
      const backend = await serve((socket, _request, index) => {
        socket.write(answer('first'))
        if (index === 0) setImmediate(() => socket.write(answer('STOLEN')))
      })
      await ask(backend).over
      await until(() => wire?.stats(backend).open === 0, 2_000)
      expect((await ask(backend).over).body).toBe('first')
    })

    it('says whether a broken connection was one that was just closing', async () => {
      const backend = await serve((socket, _request, index) => {
        if (index === 0) socket.write(answer('x'))
        else socket.resetAndDestroy()
      })
      await ask(backend).over
      await idle(backend)
      expect((await ask(backend).over).end).toMatchObject({ kind: 'brokeOff', reusedSocket: true })
      // The next one is on a new connection, and its reset means a death.
      expect((await ask(backend).over).end).toMatchObject({ kind: 'brokeOff', reusedSocket: false })
    })

    it('says that an answer was cut', async () => {
      const backend = await serve((socket, _request, index) => {
        socket.write(
          index === 0
            ? 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'
            : 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
          () => setImmediate(() => socket.end()),
        )
      })
      for (let index = 0; index < 2; index++) {
        const heard = await ask(backend).over
        expect(heard.body).toBe('half')
        expect(heard.end).toMatchObject({ kind: 'brokeOff', afterFirstByte: true })
      }
    })

    it('says that nothing was sent where nobody listens', async () => {
      const backend = await serve(() => {})
      await new Promise((resolve) => server?.close(resolve))
      server = undefined
      expect((await ask(backend).over).end).toMatchObject({ kind: 'unreachable' })
    })

    it('closes the connection of a call that nobody wants any more', async () => {
      const closed: number[] = []
      const backend = await serve((socket, _request, index) => {
        socket.on('close', () => closed.push(index))
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
      })
      const { call, heard } = ask(backend)
      await until(() => heard.body === 'half', 2_000)
      call.abort()
      await until(() => closed.length === 1, 2_000)
      expect(heard.end).toBeUndefined()
    })

    // A question to a server that a reload had just taken out left its connection open: for half a minute three sockets
    // stood towards nobody.
    it('keeps no connection to a server that was taken out, and does again when it is back', async () => {
      let closed = 0
      const backend = await serve((socket) => {
        socket.on('close', () => closed++)
        socket.write(answer('x'))
      })
      wire = make({ connectMs: 2_000 }, realClock())
      wire.keepOnly([])
      await Promise.all([ask(backend).over, ask(backend).over, ask(backend).over])
      await until(() => closed === 3, 2_000)
      expect(wire.stats(backend)).toEqual({ open: 0, idle: 0 })
      wire.keepOnly([backend])
      await ask(backend).over
      await idle(backend)
      expect(closed).toBe(3)
    })

    it('lets an answer end that runs when its server is taken out', async () => {
      let go: (() => void) | undefined
      let closed = 0
      const backend = await serve((socket) => {
        socket.on('close', () => closed++)
        go = () => void socket.write(answer('to the end'))
      })
      const { over } = ask(backend)
      await until(() => go !== undefined, 2_000)
      wire?.keepOnly([])
      go?.()
      expect(await over).toMatchObject({ body: 'to the end', end: 'ended' })
      await until(() => closed === 1, 2_000)
    })

    it('holds the backend back while the reader is paused', async () => {
      let written = 0
      const backend = await serve((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n')
        const pour = () => {
          while (written < 100_000_000) {
            written += 100_000
            if (!socket.write('x'.repeat(100_000))) {
              socket.once('drain', pour)
              return
            }
          }
        }
        pour()
      })
      const { call, heard, over } = ask(backend)
      await until(() => heard.body.length > 0, 2_000)
      call.pause()
      let before = -1
      await until(() => {
        const still = written === before
        before = written
        return still
      }, 5_000)
      expect(written).toBeLessThan(50_000_000)
      call.resume()
      expect((await over).body.length).toBe(100_000_000)
    })
  })
}
