import { Socket } from 'node:net'
import { getHeapCodeStatistics } from 'node:v8'
import { type App, startApp } from '../../src/app.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { readConfig } from '../../src/config/read.ts'
import { realClock, sleep } from '../../src/core/clock.ts'
import type { Settings } from '../../src/core/settings.ts'
import { BodyBudget } from '../../src/proxy/body.ts'
import type { Exchange } from '../../src/proxy/exchange.ts'
import { KeptBudget } from '../../src/proxy/kept.ts'
import { Server } from '../../src/proxy/serve.ts'

/** The proxy as a process of its own: only so its memory and its sockets are its own, too. Needs `--expose-gc`. */
export type ProxyOrder =
  | { readonly kind: 'start'; readonly yaml: string; readonly dataDir: string }
  | { readonly kind: 'reload'; readonly yaml: string }
  | { readonly kind: 'measure' }
  | { readonly kind: 'stop' }

/** How an exchange ended, as the observer was told: id, ending, code, backend. */
export type Fact = readonly [id: string, ending: string, code: string, backend: string]

export interface Measured {
  /** Nobody waits, holds a seat or is answered; false when that did not come about in time. */
  readonly quiet: boolean
  readonly started: number
  readonly ended: number
  /** Attempts after the first, and answers that another backend was asked to go on with. */
  readonly retried: number
  readonly continued: number
  readonly waiting: number
  readonly inFlight: number
  readonly leases: number
  readonly seatsUsed: number
  readonly bodyBytes: number
  readonly keptBytes: number
  /** Those that have not ended, to be looked for in the script. */
  readonly open: readonly string[]
  /** That are still in memory after a full collection, whoever holds them. */
  readonly exchangesHeld: number
  /** Without compiled code. */
  readonly heapBytes: number
  readonly rssBytes: number
  /** What keeps the process busy: sockets, timers, files. */
  readonly resources: Readonly<Record<string, number>>
  /** The open sockets, in words: between which ports, and what went over them. */
  readonly sockets: readonly string[]
}

export type ProxyReply =
  | { readonly facts: readonly Fact[] }
  | { readonly noticed: string }
  | { readonly url: string }
  | { readonly reloaded: string }
  | { readonly measured: Measured }
  | { readonly stopped: true }

const factsMax = 64
const quietMsMax = 8_000
/** One leaves what only the one before it could find. */
const collections = 4

let app: App
let yaml = ''
let dataDir = ''
let started = 0
let ended = 0
let retried = 0
let continued = 0
let facts: Fact[] = []

// These two are private where they are used; whoever claims from one shows it.
const bodyBudgets = new Set<BodyBudget>()
const keptBudgets = new Set<KeptBudget>()
const { memory } = BodyBudget.prototype
BodyBudget.prototype.memory = function (this: BodyBudget) {
  bodyBudgets.add(this)
  return memory.call(this)
}
const { claim } = KeptBudget.prototype
KeptBudget.prototype.claim = function (this: KeptBudget, bytes: number) {
  keptBudgets.add(this)
  return claim.call(this, bytes)
}

const open = new Set<string>()
let exchanges: WeakRef<Exchange>[] = []
const { serve } = Server.prototype
Server.prototype.serve = async function (this: Server, exchange, style) {
  const { id } = exchange.asked
  open.add(id)
  exchanges.push(new WeakRef(exchange))
  try {
    return await serve.call(this, exchange, style)
  } finally {
    open.delete(id)
  }
}

function tell(reply: ProxyReply): void {
  process.send!(reply)
}

function tellFacts(): void {
  if (facts.length === 0) return
  tell({ facts })
  facts = []
}

async function settings(): Promise<Settings> {
  const read = readConfig(yaml, { fileName: 'storm.yaml', env: {} })
  if (!read.ok) throw new ConfigError(read.problems)
  return {
    ...read.settings,
    dataDir,
    listen: { host: '127.0.0.1', port: 0 },
    log: { level: 'silent', format: 'json' },
    timeouts: { ...read.settings.timeouts, drainMs: 500 },
  }
}

async function start(): Promise<void> {
  app = await startApp(await settings(), {
    read: settings,
    observer: {
      exchangeStarted() {
        started++
      },
      exchangeEnded({ id, ending, code, backend }) {
        ended++
        facts.push([id, ending, code ?? '', backend])
        if (facts.length >= factsMax) tellFacts()
      },
      retried() {
        retried++
      },
      continued() {
        continued++
      },
      noticed(sentence, detail) {
        if (/failed inside|internal/.test(sentence))
          tell({ noticed: `${sentence} ${JSON.stringify(detail)}` })
      },
    },
  })
  tell({ url: app.url })
}

const sum = (values: Iterable<number>) => [...values].reduce((all, each) => all + each, 0)

function moment(): Omit<Measured, 'quiet' | 'heapBytes' | 'rssBytes'> {
  const { endpoints } = app.pool
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  return {
    started,
    ended,
    retried,
    continued,
    waiting: app.queue.size,
    inFlight: sum(endpoints.map((each) => each.inFlight)),
    leases: sum(endpoints.map((each) => each.leases.size)),
    seatsUsed: sum(endpoints.flatMap((each) => [...each.seatRows()].map(({ used }) => used))),
    bodyBytes: sum([...bodyBudgets].map(({ held }) => held.memoryBytes + held.diskBytes)),
    keptBytes: sum([...keptBudgets].map(({ bytes }) => bytes)),
    open: [...open],
    exchangesHeld: exchanges.length,
    resources,
    sockets: openSockets().map(
      ({ localPort, remotePort, bytesRead, bytesWritten, connecting }) =>
        `${localPort} to ${remotePort}: ${bytesRead} read, ${bytesWritten} written${connecting ? ', connecting' : ''}`,
    ),
  }
}

/** Node has no other word for them; only for who looks for a fault. */
function openSockets(): Socket[] {
  const { _getActiveHandles } = process as unknown as { _getActiveHandles(): unknown[] }
  return _getActiveHandles
    .call(process)
    .filter((handle) => handle instanceof Socket && handle.remotePort !== undefined) as Socket[]
}

function isQuiet({
  waiting,
  inFlight,
  leases,
  seatsUsed,
  bodyBytes,
  keptBytes,
}: ReturnType<typeof moment>) {
  const held = [waiting, inFlight, leases, seatsUsed, bodyBytes, keptBytes]
  return started === ended && held.every((each) => each === 0)
}

/** Until it is at rest behind the collection as well: the proxy asks models a few questions of its own. */
async function measure(): Promise<Measured> {
  const latestMs = realClock().now() + quietMsMax
  for (;;) {
    const measured = await measureOnce(latestMs)
    if (measured.quiet || realClock().now() > latestMs) return measured
  }
}

async function measureOnce(latestMs: number): Promise<Measured> {
  const clock = realClock()
  while (!isQuiet(moment()) && clock.now() < latestMs) await sleep(clock, 20)
  const collect = globalThis.gc
  if (!collect) throw new Error('it must be started with --expose-gc')
  for (let each = 0; each < collections; each++) {
    collect()
    await sleep(clock, 5)
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  // A WeakRef that was made or asked in this turn holds its object to the end of it.
  exchanges = exchanges.filter((each) => each.deref() !== undefined)
  tellFacts()
  const now = moment()
  return {
    quiet: isQuiet(now),
    ...now,
    heapBytes: heapUsed + external - compiledBytes(),
    rssBytes: rss,
  }
}

/** Code comes and goes as V8 sees fit. */
function compiledBytes(): number {
  const { code_and_metadata_size, bytecode_and_metadata_size } = getHeapCodeStatistics()
  return code_and_metadata_size + bytecode_and_metadata_size
}

async function obey(order: ProxyOrder): Promise<void> {
  switch (order.kind) {
    case 'start':
      yaml = order.yaml
      dataDir = order.dataDir
      return await start()
    case 'reload':
      yaml = order.yaml
      return tell({ reloaded: (await app.reload('storm')).result })
    case 'measure':
      return tell({ measured: await measure() })
    case 'stop':
      await app.stop()
      tellFacts()
      return tell({ stopped: true })
  }
}

let last: Promise<void> = Promise.resolve()
process.on('message', (order: ProxyOrder) => {
  last = last.then(() => obey(order))
})
process.on('disconnect', () => process.exit(0))
