import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { doneLine, type FakeOllama, startFakeOllama } from '../help/fake-ollama.ts'
import { startFleet } from '../help/fleet.ts'
import { startHerd } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, model, warmFleet } from '../help/warm-fleet.ts'

/** A proxy in front of servers of this test; it knows their models when this returns. */
async function fleetOf(urls: readonly string[], config: string, slots = 8) {
  const fleet = await startFleet({
    simulators: [],
    config,
    settings: (settings) => ({
      ...settings,
      backends: urls.map((url, index) => ({
        ...backendAt(String.fromCharCode(97 + index), url),
        slots,
      })),
    }),
  })
  await until(() => fleet.app.pool.endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  return fleet
}

describe('a kept connection that the server closes at the very moment of its next use', () => {
  it('costs no client an error in a thousand requests, and no second answer', async () => {
    // Whole answers with a promise to keep the connection, broken at once or a moment later.
    await using fake = await startFakeOllama((request, response) => {
      request.resume().once('end', () => {
        response.setHeader('content-type', 'application/json').end(doneLine)
        const { socket } = request
        response.once('finish', () => {
          const moment = fake.asked() % 3
          if (moment === 0) socket.end()
          else if (moment === 1) setImmediate(() => socket.destroy())
          else setTimeout(() => socket.resetAndDestroy(), 1)
        })
      })
    })
    await using fleet = await fleetOf([fake.url], blind, 4)
    let failed = 0
    const askInTurn = async () => {
      for (let index = 0; index < 250; index++) {
        const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
        if (answer.status !== 200 || answer.text !== doneLine) failed++
      }
    }
    await Promise.all(Array.from({ length: 4 }, askInTurn))
    expect(failed).toBe(0)
    const attempts = fleet.ended.reduce((sum, each) => sum + each.attempts, 0)
    expect(fake.asked()).toBeLessThanOrEqual(attempts)
    expect(attempts).toBeLessThan(1_200)
    expect(fleet.app.pool.endpoint('a')?.lastError).toBeUndefined()
  }, 120_000)

  it('is not what a server does that dies over a request a second later', async () => {
    let dying = false
    await using fake = await startFakeOllama((request, response) => {
      if (dying) setTimeout(() => request.socket.destroy(), 1_200)
      else response.setHeader('content-type', 'application/json').end(doneLine)
    })
    await using fleet = await fleetOf([fake.url], `${blind}\nbreaker: { failures: 1 }`)
    expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })).status).toBe(200)
    dying = true
    expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('die') })).status).toBe(502)
    // On the used connection it was asked once, and that once was a death.
    expect(fake.asked()).toBe(2)
    expect(fleet.app.pool.endpoint('a')?.lastError).toBe('broke off before its answer')
  })

  it('leads to a new connection, where a loss means what it says', async () => {
    const ports: number[] = []
    let dying = false
    const answer: Parameters<typeof startFakeOllama>[0] = (request, response) => {
      if (dying) {
        ports.push(request.socket.remotePort ?? 0)
        request.socket.destroy()
      } else response.setHeader('content-type', 'application/json').end(doneLine)
    }
    await using a = await startFakeOllama(answer)
    await using b = await startFakeOllama(answer)
    await using fleet = await fleetOf([a.url, b.url], blind)
    for (let index = 0; index < 4; index++)
      expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })).status).toBe(200)
    dying = true
    const killed = await wholeCall(`${fleet.url}/api/chat`, { body: chat('kill') })
    expect(killed.status).toBe(500)
    expect(fleet.ended.at(-1)).toMatchObject({ code: 'poison', attempts: 3 })
    expect(new Set(ports).size).toBe(3)
  })
})

describe('a server that can not be reached', () => {
  it('is left after the limit for connecting when it swallows what is sent to it', async () => {
    await using hole = await startBlackHole()
    await using fake = await startFakeOllama((_request, response) => {
      response.setHeader('content-type', 'application/json').end(doneLine)
    })
    await using fleet = await fleetOf(
      [hole.url, fake.url],
      `${blind}\n${inOrder}\ntimeouts: { connect: 300ms }`,
    )
    await hole.close()
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-chasqui-backend']).toBe('b')
    expect(fleet.ended[0]?.trail).toEqual(['a: unreachable: no connection within timeouts.connect'])
    expect(answer.tookMs).toBeGreaterThan(290)
    expect(answer.tookMs).toBeLessThan(2_300)
  })

  it('lets go of a client that leaves while the connection is made, and asks nothing later', async () => {
    await using hole = await startBlackHole()
    await using fleet = await fleetOf([hole.url], `${blind}\ntimeouts: { connect: 1500ms }`)
    await hole.close()
    const call = openCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    await until(() => fleet.app.pool.endpoint('a')?.inFlight === 1)
    call.leave()
    await until(() => fleet.app.pool.endpoint('a')?.inFlight === 0, 1_000)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed' })
    await hole.open()
    // What comes in now over the old attempt to connect must be nothing.
    expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('another') })).status).toBe(200)
    expect(await hole.asked()).toBe(1)
  })

  it('holds up nobody who asked it before it stood still: they are answered elsewhere', async () => {
    const server = ['--models', model, '--answer-tokens', '5']
    await using herd = await startHerd({
      simulators: [server, server],
      args: ['--slots', '4'],
      env: { CHASQUI_PROBES_FALL: '2' },
    })
    for (const { url } of herd.remotes) await wholeCall(`${url}/api/generate`, { body: { model } })
    await until(async () =>
      (await herd.status()).backends.every(({ resident }) => resident.length === 1),
    )
    herd.remotes[0]!.process.kill('SIGSTOP')
    const calls = Array.from({ length: 6 }, (_, index) =>
      wholeCall(`${herd.url}/api/chat`, { body: chat(`client ${index}`) }),
    )
    const answers = await Promise.all(calls)
    herd.remotes[0]!.process.kill('SIGCONT')
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(new Set(answers.map(({ headers }) => headers['x-chasqui-backend']))).toEqual(
      new Set(['b']),
    )
  }, 60_000)
})

describe('a backend that answers nonsense', () => {
  it('refuses in endless words: the client gets the beginning, and the seat is free', async () => {
    await using fake = await startFakeOllama((_request, response) => {
      response.writeHead(500, { 'content-type': 'application/json' })
      const pour = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      }
      response.on('drain', pour)
      pour()
    })
    await using fleet = await fleetOf([fake.url], blind)
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBe(500)
    expect(answer.text.length).toBe(1_048_576)
    expect(fleet.app.pool.endpoint('a')?.leases.size).toBe(0)
  })

  it('says less than a whole JSON value where no length was promised: that is no answer', async () => {
    await using fake: FakeOllama = await startFakeOllama((request, response) => {
      response.shouldKeepAlive = false
      response.useChunkedEncodingByDefault = false
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"message":{"content":"half of')
      setTimeout(() => request.socket.end(), 20)
    })
    await using fleet = await fleetOf([fake.url], blind)
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBeGreaterThanOrEqual(500)
    expect(JSON.parse(answer.text)).toHaveProperty('error')
  })
})

describe('connections to backends', () => {
  it('are no more after many aborts than there were requests at once', async () => {
    await using fleet = await warmFleet({
      simulators: [{ answerTokens: 10_000, slots: 4 }],
      config: blind,
      backend: (backend) => ({ ...backend, slots: 4 }),
    })
    const [a] = fleet.simulators
    for (let round = 0; round < 10; round++) {
      const calls = Array.from({ length: 4 }, () =>
        openCall(`${fleet.url}/api/chat`, { body: chat('hello', { stream: true }) }),
      )
      await until(() => asked(a) === 4 * (round + 1) && calls.every((call) => call.text() !== ''))
      for (const call of calls) call.leave()
      await until(() => a!.stats().openRequests === 0)
    }
    const open = async () => {
      const text = await (await fetch(`${fleet.url}/metrics`)).text()
      const rows = [...text.matchAll(/^chasqui_backend_connections\{[^}]*\} (\d+)$/gm)]
      return rows.reduce((sum, [, value]) => sum + Number(value), 0)
    }
    await until(async () => (await open()) <= 8)
  })
})

/**
 * A server that is known and then takes no more connections without refusing them: its process stands still and the
 * line of connections to be taken is full, so that the kernel answers no further SYN.
 */
async function startBlackHole() {
  const child = spawn(process.execPath, ['-e', holeScript], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line.toString().trim())
  const url = `http://127.0.0.1:${port}`
  const fillers: Socket[] = []
  return {
    url,
    async close(): Promise<void> {
      child.kill('SIGSTOP')
      for (let index = 0; index < 32; index++) {
        const socket = connect(port, '127.0.0.1')
        socket.on('error', () => {})
        fillers.push(socket)
        const taken = await Promise.race([
          once(socket, 'connect').then(() => true),
          new Promise<boolean>((resolve) => void setTimeout(() => resolve(false), 150)),
        ])
        if (!taken) return
      }
      throw new Error('the line of connections did not fill')
    },
    async open(): Promise<void> {
      for (const socket of fillers) socket.destroy()
      child.kill('SIGCONT')
    },
    async asked(): Promise<number> {
      return Number(await (await fetch(`${url}/asked`)).text())
    },
    async [Symbol.asyncDispose]() {
      for (const socket of fillers) socket.destroy()
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

const holeScript = `
  const model = { name: 'llama3.2:latest', model: 'llama3.2:latest', digest: '${'a'.repeat(64)}', capabilities: ['completion'] }
  const probes = { '/api/version': { version: '0.33.0' }, '/api/tags': { models: [model] }, '/api/ps': { models: [model] } }
  let asked = 0
  const server = require('node:http').createServer((request, response) => {
    response.setHeader('connection', 'close').setHeader('content-type', 'application/json')
    if (request.url === '/asked') return response.end(String(asked))
    const probe = probes[request.url]
    if (!probe) asked++
    response.end(JSON.stringify(probe ?? { message: {}, done: true }))
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port))
`
