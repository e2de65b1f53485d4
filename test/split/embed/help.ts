import { createHash } from 'node:crypto'
import type { Ask } from '../../../src/core/ask.ts'
import type { Clock } from '../../../src/core/clock.ts'
import type { InnerAnswer, InnerCall, InnerCallRunning } from '../../../src/core/inner-call.ts'
import { readAsk } from '../../../src/dialects/ask.ts'
import { findRoute } from '../../../src/dialects/routes.ts'
import { BodyScanner } from '../../../src/dialects/scan.ts'
import { readTags } from '../../../src/pool/catalogue.ts'
import type { Pool } from '../../../src/pool/pool.ts'
import type { EmbedPath } from '../../../src/split/embed/join.ts'
import type { Machine } from '../../../src/split/embed/plan.ts'
import type { EmbedRequest } from '../../../src/split/embed/run.ts'
import { backendOf, poolOf, ps } from '../../pool/help.ts'

export const model = 'all-minilm:latest'
export const digest = 'd'.repeat(64)

/** A machine of which everything is known, for tests of the plan. */
export function machineOf(name: string, more: Partial<Machine> = {}): Machine {
  return {
    name,
    digest,
    version: '0.33.0',
    seats: 1,
    contextDefault: 4_096,
    contextLoaded: undefined,
    contextTrained: undefined,
    resident: true,
    mayLoadQuietly: false,
    weightPerMs: 100,
    weightPerMsHint: undefined,
    classId: 'a',
    bytesPerVector: 5_000,
    ...more,
  }
}

/** What the front door would have learned of a body. */
export function askOf(path: EmbedPath, body: Buffer): Ask {
  const scanner = new BodyScanner()
  scanner.feed(body)
  const found = findRoute('POST', path)
  if (found.kind !== 'route') throw new Error(`no route for ${path}`)
  const read = readAsk(found.route, scanner.end())
  if (!read.ok) throw new Error(read.message)
  return read.ask
}

export function requestOf(
  body: Buffer | object,
  more: Partial<EmbedRequest> & { path?: EmbedPath } = {},
): EmbedRequest {
  const path = more.path ?? '/api/embed'
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
  return {
    id: 'r1',
    path,
    body: bytes,
    ask: askOf(path, bytes),
    tenant: 't',
    priority: 'normal',
    labels: [],
    work: '',
    deadlineMs: undefined,
    except: new Set(),
    ...more,
  }
}

/** Texts of about this many bytes, no two alike. */
export function texts(count: number, bytes = 600): string[] {
  return Array.from({ length: count }, (_, index) =>
    `${index} ${'rain falls on the terraces '.repeat(Math.ceil(bytes / 27))}`.slice(0, bytes),
  )
}

/** Time that jumps to the next moment at which something is due. */
export interface JumpClock extends Clock {
  /** Lets time go on until the promise is settled. */
  until<Value>(promise: Promise<Value>): Promise<Value>
  /** Everything that is due within so many milliseconds. */
  pass(ms: number): Promise<void>
}

export function jumpClock(): JumpClock {
  let nowMs = 1_000
  let timers: { atMs: number; act: () => void }[] = []
  const breathe = () => new Promise<void>((resolve) => setImmediate(resolve))
  const jump = (limitMs: number) => {
    const due = timers.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY)
    if (due > limitMs) return false
    nowMs = Math.max(nowMs, due)
    const now = timers.filter(({ atMs }) => atMs <= nowMs)
    timers = timers.filter(({ atMs }) => atMs > nowMs)
    for (const { act } of now) act()
    return true
  }
  return {
    now: () => nowMs,
    wall: () => nowMs,
    after(delayMs, act) {
      const timer = { atMs: nowMs + Math.max(0, delayMs), act }
      timers.push(timer)
      return {
        [Symbol.dispose]() {
          timers = timers.filter((each) => each !== timer)
        },
      }
    },
    async until(promise) {
      let isDone = false
      const settled = promise.finally(() => {
        isDone = true
      })
      for (;;) {
        await breathe()
        if (isDone) return await settled
        if (!jump(Number.POSITIVE_INFINITY)) throw new Error('nothing is due and nothing is done')
      }
    },
    async pass(ms) {
      const limitMs = nowMs + ms
      do await breathe()
      while (jump(limitMs))
      nowMs = limitMs
    },
  }
}

/** One machine that embeds, at a speed of its own. */
export interface Mill {
  readonly name: string
  /** Bytes of text a millisecond, beside 64 for each item. */
  speed: number
  seats?: number
  /** Two mills with one class give the same numbers. */
  numbers?: string
  contextDefault?: number
  contextTrained?: number
  digest?: string
  version?: string
  notLoaded?: boolean
  /** May answer in its own way, or not at all (`hang`). */
  odd?: (items: readonly string[], call: InnerCall) => Partial<InnerAnswer> | 'hang' | undefined
  /** Milliseconds beside the items. */
  fixedMs?: number
}

export interface MillFleet {
  readonly pool: Pool
  readonly clock: JumpClock
  readonly ask: (call: InnerCall) => InnerCallRunning
  /** Every call that was made, probes apart. */
  readonly calls: { readonly call: InnerCall; backend: string; cancelled: boolean }[]
  readonly probes: string[]
  readonly mills: readonly Mill[]
  /** Calls that have a seat now. */
  readonly working: () => number
  /** Takes a seat for somebody else. */
  readonly occupy: (name: string) => Disposable
}

/** Machines, the queue in front of them and what they say, without sockets and without waiting. */
export function millFleet(mills: readonly Mill[], clock: JumpClock = jumpClock()): MillFleet {
  const pool = poolOf(
    mills.map(({ name, seats, contextDefault }) =>
      backendOf(name, { slots: seats ?? 1, contextDefault }),
    ),
    { models: [], clock },
  )
  for (const [index, endpoint] of pool.endpoints.entries()) {
    const mill = mills[index]!
    endpoint.version = mill.version ?? '0.33.0'
    const listed = {
      name: model,
      model,
      digest: mill.digest ?? digest,
      size: 45_000_000,
      capabilities: ['embedding', ...(mill.seats ? ['completion'] : [])],
      details: mill.contextTrained ? { context_length: mill.contextTrained } : {},
    }
    endpoint.learnOnDisk(readListed(listed))
    if (!mill.notLoaded) endpoint.learnInMemory(ps([model]))
  }
  pool.learned()
  const used = new Map<string, number>()
  const calls: MillFleet['calls'] = []
  const probes: string[] = []
  const waiting: (() => boolean)[] = []
  const walk = () => {
    for (const start of [...waiting]) if (start()) waiting.splice(waiting.indexOf(start), 1)
  }
  const give = (name: string, by: number) => {
    used.set(name, (used.get(name) ?? 0) + by)
    if (by < 0) queueMicrotask(walk)
  }

  const ask = (call: InnerCall): InnerCallRunning => {
    const isProbe = call.id.startsWith('embed-probe')
    const record = { call, backend: '', cancelled: false }
    if (!isProbe) calls.push(record)
    const input = JSON.parse(call.body.toString('utf8')).input as string[]
    // How large the answer may be is reckoned from it.
    if (call.embeds !== input.length)
      throw new Error(`${call.embeds} texts are said for ${input.length}`)
    const { promise, resolve } = Promise.withResolvers<InnerAnswer>()
    const askedMs = clock.now()
    let seatMs: number | undefined
    let timer: Disposable | undefined
    let isOver = false
    const finish = (more: Partial<InnerAnswer>) => {
      if (isOver) return
      isOver = true
      timer?.[Symbol.dispose]()
      if (seatMs !== undefined) give(record.backend, -1)
      resolve({
        status: 200,
        body: Buffer.alloc(0),
        code: undefined,
        backend: record.backend,
        attempts: 1,
        waitMs: (seatMs ?? clock.now()) - askedMs,
        servedMs: seatMs === undefined ? 0 : clock.now() - seatMs,
        figures: undefined,
        ...more,
      })
    }
    const start = () => {
      if (isOver) return true
      const mill = mills
        .filter(({ name }) => !call.except.has(name) && pool.endpoint(name)?.ready)
        .find(({ name, seats }) => (used.get(name) ?? 0) < (seats ?? 1))
      if (!mill) return false
      record.backend = mill.name
      if (isProbe) probes.push(mill.name)
      seatMs = clock.now()
      give(mill.name, 1)
      const bytes = input.reduce((sum, text) => sum + 64 + JSON.stringify(text).length - 2, 0)
      const tookMs = (mill.fixedMs ?? 2) + bytes / mill.speed
      const odd = isProbe ? undefined : mill.odd?.(input, call)
      if (odd === 'hang') return true
      timer = clock.after(tookMs, () =>
        finish({
          body: answerBody(call.path as EmbedPath, input, mill.numbers ?? 'a', tookMs),
          ...odd,
        }),
      )
      return true
    }
    if (!start()) waiting.push(start)
    return {
      get backend() {
        return record.backend
      },
      get onSeatSinceMs() {
        return seatMs
      },
      answer: promise,
      cancel() {
        if (isOver) return
        record.cancelled = true
        finish({ status: 499 })
      },
    }
  }
  return {
    pool,
    clock,
    ask,
    calls,
    probes,
    mills,
    working: () => [...used.values()].reduce((sum, each) => sum + each, 0),
    occupy(name) {
      give(name, 1)
      return { [Symbol.dispose]: () => give(name, -1) }
    },
  }
}

function readListed(listed: object) {
  return readTags({ models: [listed] })
}

/** What a server says: numbers that follow from the text and the class of the machine, in odd spellings too. */
export function answerBody(
  path: EmbedPath,
  input: readonly string[],
  numbers: string,
  tookMs = 1,
): Buffer {
  const vectors = input.map((text) => vectorText(text, numbers))
  const tokens = input.reduce((sum, text) => sum + tokensOf(text), 0)
  if (path === '/api/embed')
    return Buffer.from(
      `{"model":"all-minilm","embeddings":[${vectors.join(',')}],"total_duration":${Math.round(tookMs * 1e6) + 7},"load_duration":7,"prompt_eval_count":${tokens}}`,
    )
  const data = vectors.map(
    (vector, index) => `{"object":"embedding","embedding":${vector},"index":${index}}`,
  )
  return Buffer.from(
    `{"object":"list","data":[${data.join(',')}],"model":"all-minilm","usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}}\n`,
  )
}

export const tokensOf = (text: string) => Math.ceil(text.length / 4)

/** Spellings that would not survive being read as numbers and written again. */
export function vectorText(text: string, numbers: string): string {
  const hash = createHash('sha256').update(text).digest()
  // `near` turns the vector by so little that only its bytes tell; `far` is another model's.
  const last = numbers === 'far' ? '-9.5' : numbers === 'near' ? '0.0010001' : '1.0e-3'
  return `[0.${hash.readUInt16LE(0)}0,-${hash.readUInt16LE(2) + 1}e-5,1E2,${last}]`
}

/** The numbers of an answer of `/api/embed`, as they are written. */
export function listText(body: Buffer): string {
  const text = body.toString('utf8')
  return text.slice(text.indexOf('"embeddings":') + 13, text.indexOf(',"total_duration"'))
}

/** What one machine of that class says to all texts. */
export function wholeList(input: readonly string[], numbers = 'a'): string {
  return `[${input.map((text) => vectorText(text, numbers)).join(',')}]`
}
