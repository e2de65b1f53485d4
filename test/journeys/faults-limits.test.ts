import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { statusOf } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { type RunningProcess, startProxyProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { chat, model } from '../help/warm-fleet.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const quick = { CHASQUI_PROBES_INTERVAL: '300ms', CHASQUI_PROBES_TIMEOUT: '250ms' }
const mib = 2 ** 20

/** A connection, and what has come on it; one that is closed in the meantime is no fault of the test. */
function plainClient(port: number): { socket: Socket; said(): string; readonly closed: boolean } {
  const socket = connect(port, '127.0.0.1')
  let said = ''
  let closed = false
  socket
    .on('error', () => {})
    .on('close', () => {
      closed = true
    })
  socket.setEncoding('latin1').on('data', (text: string) => {
    said += text
  })
  return {
    socket,
    said: () => said,
    get closed() {
      return closed
    },
  }
}

const portOf = (url: string) => Number(new URL(url).port)

/** What the process holds in memory, in bytes; Linux tells it. */
function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) * 1_024
}

async function heldBytes(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const rows = [...text.matchAll(/^chasqui_held_body_bytes\{[^}]*\} (\S+)$/gm)]
  if (rows.length !== 2) throw new Error('no metric of held bytes')
  return rows.reduce((sum, [, value]) => sum + Number(value), 0)
}

/** Fault catalogue D: many clients with large bodies. */
describe('two hundred clients that send more than there is room for', () => {
  const budget = 16 * mib
  const limits = {
    CHASQUI_LIMITS_BODY_MAX: '32MiB',
    CHASQUI_LIMITS_BODIES_MEMORY_MAX: '16MiB',
    CHASQUI_LIMITS_BODIES_DISK_MAX: '48MiB',
  }
  const clients = 200
  /** More than a gibibyte in all: what stayed of it would show. */
  const waves = 6
  /**
   * What is read away of those who are refused lies in memory until the next collection, which comes when it likes: up
   * to a wave of it (200 MiB) and the room that there is. If each wave left a fifth of itself behind, this were crossed.
   */
  const grownMibMax = 240

  /** All but the last byte, so that whoever is let in holds what it has sent. */
  async function besiege(proxy: RunningProcess, declared: number, sent: number, chunked = false) {
    const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${declared}`
    const head = `POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\n${framing}\r\n\r\n`
    const piece = `{"model":"${model}","prompt":"`.padEnd(sent, 'x')
    const body = chunked ? `${sent.toString(16)}\r\n${piece}\r\n` : piece
    const all = Array.from({ length: clients }, () => plainClient(portOf(proxy.url)))
    for (const { socket } of all) socket.write(head + body, 'latin1')
    const statuses = () => all.map(({ said }) => /^HTTP\/1\.1 (\d+)/.exec(said())?.[1])
    const letIn = () => statuses().filter((status) => status === undefined).length
    return {
      all,
      statuses,
      /** Until nobody else is refused; gives how many hold their place. */
      async settled(most: number): Promise<number> {
        await until(() => letIn() <= most, 30_000, 'all for whom there is no room are refused')
        return letIn()
      },
      async leave() {
        for (const { socket } of all) socket.destroy()
        await until(async () => (await heldBytes(proxy.url)) === 0, 10_000)
      },
    }
  }

  it('cost no more memory however often they come; most are refused, and all is given back', async () => {
    await using simulator = await startSimulator({ models: [model], answerTokens: 3 })
    await using proxy = await startProxyProcess([simulator.url], [], { ...quick, ...limits })
    const body = chat('hello')
    await until(async () => (await statusOf(proxy.url)).active_backends === 1)
    expect((await wholeCall(`${proxy.url}/api/chat`, { body })).status).toBe(200)
    await heldBytes(proxy.url)
    const before = residentBytes(proxy.pid)

    // In memory: a mebibyte each, twelve times what there is room for; and the same again.
    const grown: number[] = []
    for (let wave = 0; wave < waves; wave++) {
      const inMemory = await besiege(proxy, mib, mib - 1)
      const held = await inMemory.settled(16)
      expect(held).toBeGreaterThan(10)
      expect(inMemory.statuses().filter((status) => status === '503')).toHaveLength(clients - held)
      expect(inMemory.all.find(({ said }) => said() !== '')!.said()).toMatch(
        /Retry-After: \d+[\s\S]*too many large requests are held in memory/,
      )
      grown.push((residentBytes(proxy.pid) - before) / mib)
      // Small requests are served all the while, if there is a little room.
      inMemory.all.find(({ said }) => said() === '')!.socket.destroy()
      await until(async () => (await wholeCall(`${proxy.url}/api/chat`, { body })).status === 200)
      await inMemory.leave()
    }

    // In files: twenty megabytes are announced, and room is kept for all of them.
    const inFiles = await besiege(proxy, 20_000_000, 65_536)
    expect(await inFiles.settled(2)).toBe(2)
    expect(inFiles.all.find(({ said }) => said() !== '')!.said()).toContain('are held on disk')
    await inFiles.leave()

    // Of unknown length: refused when they have grown beyond what there is.
    const growing = await besiege(proxy, 0, 500_000, true)
    expect(await growing.settled(33)).toBeGreaterThan(20)
    await growing.leave()

    // More than any one may have.
    const tooLarge = await besiege(proxy, 40_000_000, 1_000)
    await tooLarge.settled(0)
    expect(new Set(tooLarge.statuses())).toEqual(new Set(['413']))
    await tooLarge.leave()

    const most = Math.max(...grown)
    console.log(
      `${waves} times ${clients} MiB were sent at ${budget / mib} MiB of room: ${grown.map((each) => each.toFixed(0)).join(', ')} MiB more in memory`,
    )
    expect(most).toBeLessThan(grownMibMax)
    expect((await wholeCall(`${proxy.url}/api/chat`, { body })).status).toBe(200)
    expect(await heldBytes(proxy.url)).toBe(0)
  })
})

/** Fault catalogue D: no file descriptors are left. */
describe('a process that may open no more files', () => {
  /** With so many a server can serve a few clients at once. */
  const filesMax = 96

  it('goes on with what it has, refuses or keeps waiting whoever comes, and recovers by itself', async () => {
    await using simulator = await startSimulator({
      models: [model],
      slots: 4,
      answerTokens: 400,
      decodeTokensPerSecond: 100,
    })
    await using proxy = await startLimited(filesMax, simulator.url)
    await until(async () => (await statusOf(proxy.url)).active_backends === 1)
    const stream = openCall(`${proxy.url}/api/chat`, { body: chat('tell', { stream: true }) })
    await until(() => stream.lines().length > 5)
    const kept = plainClient(portOf(proxy.url))
    await once(kept.socket, 'connect')

    const crowd = Array.from({ length: 3 * filesMax }, () => plainClient(portOf(proxy.url)))
    const isHere = (each: { socket: Socket; closed: boolean }) =>
      !each.closed && !each.socket.connecting
    await until(() => openFiles(proxy.pid) >= filesMax - 1, 10_000, 'no file is left')
    const linesThen = stream.lines().length
    // A request on a connection that stands is answered, well or not.
    const text = JSON.stringify(chat('hello', { options: { num_predict: 2 } }))
    kept.socket.write(
      `POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    )
    await until(() => /^HTTP\/1\.1 (200|50[23]) /.test(kept.said()), 10_000, 'it is answered')
    await until(() => stream.lines().length > linesThen + 30, 10_000, 'the stream goes on')
    const here = crowd.filter(isHere).length
    console.log(
      `${crowd.length} came to ${filesMax} files: ${here} are connected or wait, the others were sent away; a request then got ${kept.said().slice(9, 12)}`,
    )
    expect(proxy.ended).toBeUndefined()

    for (const { socket } of crowd) socket.destroy()
    kept.socket.destroy()
    expect(await stream.ended).toBe('clean')
    expect(stream.lines().at(-1)).toContain('"done":true')
    await until(
      async () =>
        (
          await wholeCall(`${proxy.url}/api/chat`, {
            body: chat('again', { options: { num_predict: 2 } }),
          }).catch(() => undefined)
        )?.status === 200,
    )
    await until(() => openFiles(proxy.pid) < filesMax / 2, 10_000, 'its files are free again')
    expect(proxy.ended).toBeUndefined()
  })

  it('right behind its start has lost nothing that it loads later', async () => {
    await using simulator = await startSimulator({ models: [model, 'all-minilm'], answerTokens: 3 })
    await using proxy = await startLimited(filesMax, simulator.url)
    const crowd = Array.from({ length: 3 * filesMax }, () => plainClient(portOf(proxy.url)))
    await until(() => openFiles(proxy.pid) >= filesMax - 1, 10_000, 'no file is left')
    // A second after the start the rest is loaded, and can not be.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    for (const { socket } of crowd) socket.destroy()
    await until(async () => {
      const answer = await wholeCall(`${proxy.url}/queue-status`, {
        method: 'GET',
        body: '',
      }).catch(() => undefined)
      return answer?.status === 200 && JSON.parse(answer.text).active_backends === 1
    })
    const split = { model, input: 'one\ntwo\nthree', split: { by: 'lines', size: 1 } }
    expect((await wholeCall(`${proxy.url}/generate`, { body: split })).status).toBe(200)
    const metrics = await wholeCall(`${proxy.url}/metrics`, { method: 'GET', body: '' })
    expect(metrics.status).toBe(200)
    const batch = {
      model: 'all-minilm',
      input: Array.from({ length: 40 }, (_, at) => `text ${at}`),
    }
    expect((await wholeCall(`${proxy.url}/api/embed`, { body: batch })).status).toBe(200)
    expect(proxy.ended).toBeUndefined()
  })
})

interface Limited extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  /** How it ended; undefined while it runs. */
  readonly ended: string | undefined
}

/** The proxy with so many files; the limit can only be set from a shell. */
async function startLimited(files: number, backend: string): Promise<Limited> {
  const folder = scratchFolder()
  const main = join(fileURLToPath(import.meta.url), '../../../src/main.mjs')
  const args = ['up', '--listen', '127.0.0.1:0', '--backend', backend]
  const child: ChildProcess = spawn(
    '/bin/sh',
    ['-c', `ulimit -n ${files}; exec "$0" "$@"`, process.execPath, main, ...args],
    {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...quick, PATH: process.env['PATH'], CHASQUI_DATA: join(folder.path, 'data') },
    },
  )
  let ended: string | undefined
  let errors = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const exit = once(child, 'exit')
  child.on('exit', (code, signal) => {
    ended = `${code ?? signal}: ${errors}`
  })
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (out += text))
  await until(() => /^ready /m.test(out) || ended !== undefined, 30_000)
  const url = /^ready (http:\S+)$/m.exec(out)?.[1]
  if (url === undefined) throw new Error(`it did not start: ${ended}`)
  return {
    url,
    pid: child.pid!,
    get ended() {
      return ended
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exit
      folder[Symbol.dispose]()
    },
  }
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
