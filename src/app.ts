import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, realClock } from './core/clock.ts'
import { type Dice, realDice } from './core/dice.ts'
import type { Observer } from './core/observer.ts'
import type { Settings } from './core/settings.ts'
import { type Listener, listen } from './http/listener.ts'
import { stateOf } from './http/status.ts'
import { Pool } from './pool/pool.ts'
import { Prober } from './pool/prober.ts'
import { loadDoor, probeDoor } from './proxy/ask-backend.ts'
import { BodyBudget } from './proxy/body.ts'
import { askInside } from './proxy/inner.ts'
import { lateWire } from './proxy/late-wire.ts'
import { Loads } from './proxy/loads.ts'
import { Manager } from './proxy/manage/manager.ts'
import { netWire } from './proxy/net-wire/net-wire.ts'
import { Queue } from './proxy/queue.ts'
import { mustBeServed } from './proxy/refusals.ts'
import { Server } from './proxy/serve.ts'
import { TokenEstimator } from './split/cut/tokens-of.ts'
import { EmbedSplitter } from './split/embed/run.ts'
import type { SplitDoors } from './split/order.ts'
import type { SpoolFile } from './split/shelf.ts'
import { Speeds } from './split/speeds.ts'
import { createLog, logObserver } from './telemetry/log.ts'
import { createMetrics, type MetricsSnapshot } from './telemetry/metrics.ts'
import { severalObservers } from './telemetry/several.ts'

/** How long the start waits for slow backends: who has not answered by then is found by the next look. */
const firstLooksMsMax = 250
const prepareAfterMs = 1_000
/** What an answer that is ended at the stop may take to tell its client so. */
const lastWordsMs = 500

export interface AppDoors {
  readonly clock?: Clock
  readonly dice?: Dice
  /** Hears everything besides log and metrics; for tests. */
  readonly observer?: Partial<Observer>
  readonly version?: string
  readonly demo?: boolean
  /** How long the start waits for the first looks; more where every backend is known to answer. */
  readonly firstLooksMsMax?: number
}

export interface App extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pool: Pool
  readonly queue: Queue
  /** Every backend's models as known now; for the banner. */
  models(): string[]
  /** Readiness first, then no new connections; streams finish until the limit, then are cut. */
  stop(): Promise<void>
}

/** The composition root: the only file that knows every room. */
export async function startApp(settings: Settings, doors: AppDoors = {}): Promise<App> {
  const clock = doors.clock ?? realClock()
  const dice = doors.dice ?? realDice()
  const version = doors.version ?? '0.0.0'
  const hop = `chasqui-${randomBytes(6).toString('hex')}`
  let stopping = false

  const log = createLog(settings.log, process.stderr.isTTY === true, clock)
  const metrics = createMetrics(
    () => snapshot(),
    { version, node: process.version },
    () => clock.now(),
  )
  const observer = severalObservers([
    metrics.observer,
    logObserver(log.logger),
    doors.observer ?? {},
  ])

  const { connectMs } = settings.timeouts
  const general = lateWire(async () => {
    const { undiciWire } = await import('./proxy/undici-wire.ts')
    return undiciWire({ connectMs }, clock)
  })
  const wire = netWire({ connectMs }, clock, general)
  const pool = new Pool(settings.backends, { clock, dice, observer, breaker: settings.breaker })
  const prober = new Prober(pool, settings.probes, {
    clock,
    dice,
    observer,
    ask: probeDoor(wire, clock, hop),
    returned: (endpoint) => {
      embed.forget(endpoint.name)
      void manager.payDebts(endpoint)
    },
  })
  const refresh = (endpoint: Parameters<Prober['refresh']>[0]) => prober.refresh(endpoint)
  const queue = new Queue(pool, settings, clock)
  const loads = new Loads(loadDoor(wire, clock, hop), clock, observer)
  const bodies = new BodyBudget(settings.limits, settings.dataDir)
  const shared = { pool, queue, loads, wire, clock, observer, settings, hop, refresh }
  const server = new Server({ ...shared, refreshForUnknown: () => prober.refreshForUnknown() })
  const manager = new Manager(shared)
  const refreshForUnknown = () => prober.refreshForUnknown()
  const ask = askInside({ server, clock })
  const setting = () => settings.embed.split
  const embed = new EmbedSplitter({ ask, pool, clock, observer, setting })
  const split: SplitDoors = {
    ask,
    pool,
    clock,
    dice,
    observer,
    speeds: new Speeds(),
    tokens: new TokenEstimator(),
    openSpool: () => openSpool(bodies),
    mustHave: (model, labels) => mustBeServed(model, labels, { pool, refreshForUnknown }),
  }

  function snapshot(): MetricsSnapshot {
    return {
      queueByModel: queue.byModel(),
      queueOldestS: queue.oldestWaitMs() / 1_000,
      heldBytes: { memory: bodies.held.memoryBytes, disk: bodies.held.diskBytes },
      endpoints: pool.endpoints.map((endpoint) => ({
        name: endpoint.name,
        state: stateOf(endpoint).state,
        up: endpoint.ready,
        breaker: endpoint.breakerState,
        version: endpoint.version ?? '',
        tokensPerSecond: endpoint.tokensPerSecond.value,
        firstByteS:
          endpoint.firstByteMs.value === undefined ? undefined : endpoint.firstByteMs.value / 1_000,
        seats: [...endpoint.seatRows()],
        onDisk: [...endpoint.onDisk.keys()],
        inMemory: [...endpoint.inMemory.values()].map((model) => ({
          model: model.canonical,
          bytes: model.sizeBytes,
          vram: model.sizeVramBytes,
        })),
        connections: wire.stats(endpoint.backend),
      })),
    }
  }

  await sweepSpool(settings.dataDir)
  const firstLooks = prober.start()
  let listener: Listener
  try {
    listener = await listen({
      ...shared,
      server,
      manager,
      bodies,
      split,
      embed,
      version,
      demo: doors.demo ?? false,
      metrics: () => metrics.render(),
      stopping: () => stopping,
    })
  } catch (error) {
    prober[Symbol.dispose]()
    await wire.close()
    throw error
  }
  await Promise.race([
    firstLooks,
    new Promise<void>(
      (resolve) => void setTimeout(resolve, doors.firstLooksMsMax ?? firstLooksMsMax).unref(),
    ),
  ])

  // What most fleets need only now and then is loaded when the start is over, or when it is asked for.
  const prepared = clock.after(prepareAfterMs, () => {
    general.prepare()
    metrics.prepare()
    listener.prepare()
  })

  async function stop(): Promise<void> {
    if (stopping) return
    stopping = true
    const { drainMs } = settings.timeouts
    const limit = setTimeout(() => server.stopRunning(), drainMs)
    const cut = setTimeout(() => listener.cut(), drainMs + lastWordsMs)
    await listener.stop()
    clearTimeout(limit)
    clearTimeout(cut)
    prepared[Symbol.dispose]()
    prober[Symbol.dispose]()
    await wire.close()
    log.close()
  }

  return {
    url: listener.url,
    port: listener.port,
    pool,
    queue,
    models: () => [...new Set(pool.endpoints.flatMap((each) => [...each.onDisk.keys()]))].sort(),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function openSpool(bodies: BodyBudget): Promise<SpoolFile> {
  const share = bodies.disk()
  const { path, handle } = await bodies.spoolFile()
  return {
    path,
    handle,
    grow: (bytes) => share.grow(bytes),
    [Symbol.dispose]: () => share[Symbol.dispose](),
  }
}

/** What killed processes left behind: bodies of exchanges that nobody will finish. Living ones keep theirs. */
async function sweepSpool(dataDir: string): Promise<void> {
  const folder = join(dataDir, 'spool')
  const pids = await readdir(folder).catch(() => [])
  for (const pid of pids)
    if (!isAlive(Number(pid))) await rm(join(folder, pid), { recursive: true, force: true })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
