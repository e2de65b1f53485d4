import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Reloaded, SettingsInForce } from './config/in-force.ts'
import { type Clock, realClock, sleep } from './core/clock.ts'
import { type Dice, realDice } from './core/dice.ts'
import { Late } from './core/late.ts'
import { realLoopTurn } from './core/loop-turn.ts'
import type { Observer } from './core/observer.ts'
import type { Settings } from './core/settings.ts'
import type { Beside } from './http/beside.ts'
import { Commands } from './http/commands.ts'
import { listen } from './http/listener.ts'
import { stateOf } from './http/status.ts'
import { Membership, type MembershipDoors } from './members/membership.ts'
import type { Endpoint } from './pool/endpoint.ts'
import { Pool } from './pool/pool.ts'
import { Prober } from './pool/prober.ts'
import { Addresses, type Resolve } from './proxy/addresses.ts'
import { loadDoor, probeDoor } from './proxy/ask-backend.ts'
import { BodyBudget } from './proxy/body.ts'
import { addressDoor } from './proxy/call-address.ts'
import { Conformance, type Sighting } from './proxy/continuing/conformance.ts'
import { askAtIn, isIdleIn, isThereIn } from './proxy/continuing/probe-doors.ts'
import { askInside } from './proxy/inner.ts'
import { lateWire } from './proxy/late-wire.ts'
import { Loads } from './proxy/loads.ts'
import { Manager } from './proxy/manage/manager.ts'
import { netWire } from './proxy/net-wire/net-wire.ts'
import type { GiveWay } from './proxy/people-first.ts'
import { Placing } from './proxy/placing.ts'
import { Queue } from './proxy/queue.ts'
import { mustBeServed } from './proxy/refusals.ts'
import { Refused } from './proxy/refused.ts'
import { Keeper } from './proxy/residency/keeper.ts'
import { Optimizer } from './proxy/residency/optimizer.ts'
import { timesFrom } from './proxy/residency/times.ts'
import { Server } from './proxy/serve.ts'
import type { WaitingRoom } from './proxy/waiting-room.ts'
import { Why } from './proxy/why.ts'
import type { Wire } from './proxy/wire.ts'
import { Affinity } from './routing/affinity/affinity.ts'
import { Dispatcher } from './routing/dispatcher.ts'
import { Residency } from './routing/residency/residency.ts'
import { tastesOf } from './routing/rules/tastes.ts'
import { TokenEstimator } from './split/cut/tokens-of.ts'
import type { EmbedSplitter } from './split/embed/run.ts'
import { learnedRates } from './split/learned-rates.ts'
import type { SplitDoors } from './split/order.ts'
import type { SpoolFile } from './split/shelf.ts'
import { Speeds } from './split/speeds.ts'
import type { DecisionLog } from './telemetry/decision-log.ts'
import { createLog, logObserver } from './telemetry/log.ts'
import { createMetrics, type MetricsSnapshot } from './telemetry/metrics.ts'
import { severalObservers } from './telemetry/several.ts'

/** How long the start waits for slow backends: who has not answered by then is found by the next look. */
const firstLooksMsMax = 250
/** Who takes over from another process has time to find what that one finds; until then the other one serves. */
const takeOverMsMax = 25_000
const takeOverLooksEveryMs = 20
const prepareAfterMs = 1_000
/** Each load takes all of the process for some tens of milliseconds, which streams that run by then should feel apart. */
const prepareApartMs = 150
/** What an answer that is ended at the stop may take to tell its client so. */
const lastWordsMs = 500

export interface AppDoors {
  readonly clock?: Clock
  readonly dice?: Dice
  /** Hears everything besides log and metrics; for tests. */
  readonly observer?: Partial<Observer>
  /** How host names become addresses; the system's way unless given. */
  readonly names?: { readonly resolve?: Resolve; readonly refreshMs?: number } & Pick<
    MembershipDoors['names'],
    'resolveSrv' | 'browse'
  >
  readonly version?: string
  readonly demo?: boolean
  /** How long the start waits for the first looks; more where every backend is known to answer. */
  readonly firstLooksMsMax?: number
  /** The settings as their sources say now, for a reload; throws a ConfigError. */
  readonly read?: () => Promise<Settings>
  /** Where exchanges wait, in place of the line over a fleet; of an agent. */
  readonly room?: (house: Pick<House, 'pool' | 'settings' | 'clock'>) => WaitingRoom
  /** What an agent serves besides. */
  readonly beside?: (house: House) => Beside
  /** A socket on which another process serves now, or did until it died. */
  readonly inherited?: {
    readonly fd: number
    /** Names of the backends that are ready for the other one; undefined: there is no other one. */
    readonly otherFinds?: readonly string[] | undefined
  }
}

/** Rooms of the house, for who adds one to it. */
export interface House {
  readonly pool: Pool
  readonly queue: WaitingRoom
  readonly wire: Wire
  readonly clock: Clock
  readonly observer: Observer
  readonly settings: Settings
  readonly loads: Loads
  /** Its name in Via. */
  readonly hop: string
  /** A fresh look at the lists of models of one backend. */
  readonly refresh: (endpoint: Endpoint) => Promise<void>
}

export interface StopOptions {
  /** How long idle connections are kept for a client that is about to use one; 0 unless said. */
  readonly idleMs?: number
  /** Another process takes what comes: nobody has to be given notice. */
  readonly withoutNotice?: boolean
  /** Another process serves behind the same socket: readiness is not ours to fail. */
  readonly replaced?: boolean
}

export interface App extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pool: Pool
  readonly queue: WaitingRoom
  /** What was measured of how models go on. */
  readonly conformance: Conformance
  /** Every backend's models as known now; for the banner. */
  models(): string[]
  /** The listening socket, for a process that takes over. */
  readonly handle: unknown
  readonly settings: Settings
  /** Reads the settings again, and exchanges them if they hold. */
  reload(cause: string): Promise<Reloaded>
  /** Readiness first, then no new connections; streams finish until the limit, then are cut. */
  stop(how?: StopOptions): Promise<void>
}

/** The composition root: the only file that knows every room. */
export async function startApp(first: Settings, doors: AppDoors = {}): Promise<App> {
  const clock = doors.clock ?? realClock()
  const dice = doors.dice ?? realDice()
  const version = doors.version ?? '0.0.0'
  const hop = `chasqui-${randomBytes(6).toString('hex')}`
  let stopping = false
  let isReplaced = false
  let ownPort = first.listen.port

  const log = createLog(first.log, process.stderr.isTTY === true, clock)
  const metrics = createMetrics(
    () => snapshot(),
    { version, node: process.version },
    () => clock.now(),
  )
  const observer = severalObservers([
    metrics.observer,
    logObserver(log),
    // A runner that was just loaded has nothing cached.
    { loaded: (backend, model) => affinity.forget(backend, model) },
    doors.observer ?? {},
  ])

  const inForce = new SettingsInForce(first, {
    read: doors.read,
    observer,
    apply: () => reconfigure(),
  })
  const settings = inForce.now
  const connecting = {
    get connectMs() {
      return settings.timeouts.connectMs
    },
  }
  const general = lateWire(async () => {
    const { undiciWire } = await import('./proxy/undici-wire.ts')
    return undiciWire(connecting, clock, addresses)
  })
  const addresses = new Addresses({ clock, noticed: observer.noticed, ...doors.names })
  const loopTurn = realLoopTurn()
  const wire = netWire(connecting, clock, general, addresses, loopTurn)
  const pool = new Pool(settings.backends, { clock, dice, observer, breaker: settings.breaker })
  const prober = new Prober(pool, settings.probes, {
    clock,
    dice,
    observer,
    ask: probeDoor(wire, clock, hop),
    returned: (endpoint) => {
      forgetMeasuresOf(endpoint.name)
      void manager.payDebts(endpoint)
    },
  })
  const refresh = (endpoint: Parameters<Prober['refresh']>[0]) => prober.refresh(endpoint)
  const endpoints = () => pool.endpoints
  const affinity = new Affinity(endpoints)
  const times = timesFrom(pool, () => dispatcher.costs, clock)
  const prefixS = (host: string, model: string) =>
    settings.placement.affinity ? affinity.prefixS(host, model, clock.now()) : 0
  const residency = new Residency(settings.residency, { ...times, prefixS })
  const tastes = {
    ...tastesOf(affinity, () => settings.placement.affinity),
    keeping: residency,
  }
  const placing = new Placing({ affinity, settings, pool, clock })
  const decisionLog = await openDecisionLog(settings.decisionLog, observer)
  const dispatcher: Dispatcher = new Dispatcher(
    { endpoints, tastes, ...(decisionLog && { record: (entry) => decisionLog.note(entry) }) },
    settings.routing,
  )
  const trustTurned = (model: string, why: string | undefined) =>
    observer.noticed(why ?? 'predictions are good again', { model })
  const refused = new Refused()
  const giveWay: GiveWay = (exchange, to, why) => server.giveWay(exchange, to, why)
  const line = new Queue(pool, settings, clock, { dispatcher, trustTurned, giveWay })
  const queue = doors.room?.({ pool, settings, clock }) ?? line
  const why =
    queue === line ? new Why({ dispatcher, pool, line, placing, refused, clock }) : undefined
  const send = loadDoor(wire, clock, hop)
  const waiters = () => queue.byModel()
  const keeper = new Keeper({
    ...{ pool, clock, observer, settings, residency, times, send, refresh, waiters },
  })
  const loads = new Loads(send, clock, observer, keeper)
  const bodies = new BodyBudget(settings.limits, settings.dataDir)
  const shared = { pool, queue, loads, wire, clock, observer, settings, hop, refresh }
  const givesWay = () => queue === line && settings.queue.givesWay
  const conformance = new Conformance({
    clock,
    isIdle: (seen) => isIdleIn({ pool, isLoaded, givesWay }, seen),
    isThere: (seen) => isThereIn({ pool, isLoaded, givesWay }, seen),
    askAt: (seen) => askAtIn({ pool, clock, ask }, seen),
    ended: ({ backend, model }, _result, error) => {
      if (error) observer.noticed('how a model goes on could not be measured', { backend, model })
    },
  })
  const server = new Server({
    ...shared,
    conformance,
    placing,
    refused,
    arrived: (model) => residency.arrived(model, clock.now()),
    refreshForUnknown: () => prober.refreshForUnknown(),
  })
  const manager = new Manager(shared)
  const membership = new Membership({
    ...{ clock, observer, settings, pool, prober, hop },
    call: addressDoor(clock, hop),
    names: doors.names ?? {},
    demo: doors.demo ?? false,
    ownPort: () => ownPort,
    changed: () => void arrange(),
  })
  const commands = new Commands()
  const refreshForUnknown = () => prober.refreshForUnknown()
  const ask = askInside({ server, clock })
  const setting = () => settings.embed.split
  const speeds = new Speeds(learnedRates(pool, dispatcher.costs))
  const embed = new Late<EmbedSplitter>(async () => {
    const { EmbedSplitter } = await import('./split/embed/run.ts')
    return new EmbedSplitter({ ask, pool, clock, speeds, observer, setting })
  })
  const split: SplitDoors = {
    ask,
    pool,
    clock,
    dice,
    observer,
    speeds,
    tokens: new TokenEstimator(),
    aside: new Late(async () => {
      const { CutAside } = await import('./split/cut-aside.ts')
      return new CutAside()
    }),
    openSpool: () => openSpool(bodies),
    mustHave: (model, labels) => mustBeServed(model, labels, { pool, refreshForUnknown }),
  }

  /** Under this name there may be another machine from now on. */
  function forgetMeasuresOf(backend: string): void {
    dispatcher.forget(backend)
    placing.forget(backend)
    speeds.forget(backend)
    residency.forget(backend)
    embed.now?.forget(backend)
  }

  function isLoaded(endpoint: Endpoint, { canonical, runner }: Sighting): boolean {
    return !loads.needed(endpoint, { name: { canonical, cloud: false }, runner })
  }

  function snapshot(): MetricsSnapshot {
    return {
      queueByModel: queue.byModel(),
      distrusted: dispatcher.costs.distrusted(),
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
        agent: endpoint.told?.report,
      })),
    }
  }

  /** In the turn in which the settings were exchanged: whoever has made something of them makes it anew. */
  function reconfigure(): void {
    membership.reconfigure()
    void arrange()
    pool.judgeBy(settings.breaker)
    queue.reconfigure(settings)
    residency.reconfigure(settings.residency)
    server.reconfigure(settings.retries)
    bodies.reconfigure(settings.limits)
    log.level = settings.log.level
    listener.reconfigure()
    prober.reconfigure(settings.probes)
  }

  /** Who is in service, after a reload, and when somebody has joined, left or been found. Ends with the first looks. */
  function arrange(): Promise<void> {
    const backends = membership.backends()
    const { added, removed } = pool.reconcile(backends)
    manager.remind(added)
    // Another server under the name of one that is gone: what was measured there says nothing.
    for (const endpoint of removed) {
      forgetMeasuresOf(endpoint.name)
      loads.leftBehind(endpoint)
    }
    wire.keepOnly(backends)
    addresses.keepOnly(new Set(backends.map(({ origin }) => new URL(origin).hostname)))
    return prober.start()
  }

  await sweepSpool(settings.dataDir)
  await membership.open()
  const firstLooks = arrange()
  const looked = (ms: number) =>
    Promise.race([firstLooks, new Promise<void>((resolve) => void setTimeout(resolve, ms).unref())])
  const { lookup } = addresses
  const { members } = membership
  const optimizer = new Optimizer({
    ...{ pool, clock, residency, settings, times, keeper, costs: dispatcher.costs },
  })
  const inside = {
    server,
    manager,
    optimizer,
    why,
    members,
    commands,
    bodies,
    split,
    embed,
    lookup,
    loopTurn,
    version,
  }
  const listener = await findThese(doors.inherited?.otherFinds ?? [], pool, clock)
    .then(() =>
      listen(
        {
          ...shared,
          ...inside,
          demo: doors.demo ?? false,
          metrics: () => metrics.render(),
          reload: () => inForce.reload('request'),
          refused: () => inForce.refused,
          beside: doors.beside?.(shared),
          stopping: () => stopping && !isReplaced,
        },
        doors.inherited,
      ),
    )
    .catch(async (error: unknown) => {
      membership[Symbol.dispose]()
      prober[Symbol.dispose]()
      addresses.close()
      await wire.close()
      throw error
    })
  ownPort = listener.port
  await looked(doors.firstLooksMsMax ?? firstLooksMsMax)
  keeper.start(loads)

  // What most fleets need only now and then is loaded when the start is over, or when it is asked for.
  const unprepared = [server, ...listener.late, metrics, general]
  const prepareNext = () => {
    unprepared.shift()?.prepare()
    if (unprepared.length > 0) prepared = clock.after(prepareApartMs, prepareNext)
  }
  let prepared = clock.after(prepareAfterMs, prepareNext)

  const stop = async (how: StopOptions = {}) => {
    if (stopping) return
    stopping = true
    isReplaced = how.replaced ?? false
    const { drainMs, noticeMs } = settings.timeouts
    if (noticeMs !== undefined && !how.withoutNotice) {
      listener.leave()
      await sleep(clock, noticeMs)
    }
    const limit = setTimeout(() => {
      server.stopRunning()
      commands.stopRunning()
    }, drainMs)
    const cut = setTimeout(() => listener.cut(), drainMs + lastWordsMs)
    await listener.stop(how.idleMs ?? 0)
    clearTimeout(limit)
    clearTimeout(cut)
    prepared[Symbol.dispose]()
    conformance.stop()
    keeper[Symbol.dispose]()
    await membership.close()
    prober[Symbol.dispose]()
    addresses.close()
    await wire.close()
    await decisionLog?.close()
    log.close()
  }

  return {
    url: listener.url,
    port: listener.port,
    handle: listener.handle,
    settings,
    reload: (cause) => inForce.reload(cause),
    pool,
    queue,
    conformance,
    models: () => [...new Set(pool.endpoints.flatMap((each) => [...each.onDisk.keys()]))].sort(),
    stop,
    [Symbol.asyncDispose]: () => stop(),
  }
}

/** Another process serves better: it finds backends that this one does not. */
export class CannotTakeOver extends Error {}

async function findThese(names: readonly string[], pool: Pool, clock: Clock): Promise<void> {
  const latestMs = clock.now() + takeOverMsMax
  for (;;) {
    const missing = names.filter((name) => pool.endpoint(name)?.ready === false)
    if (missing.length === 0) return
    if (clock.now() >= latestMs)
      throw new CannotTakeOver(
        `${missing.join(', ')} can be reached from the server that is to be replaced, and not from this one`,
      )
    await sleep(clock, takeOverLooksEveryMs)
  }
}

async function openDecisionLog(
  path: string | undefined,
  observer: Observer,
): Promise<DecisionLog | undefined> {
  if (path === undefined) return undefined
  const { DecisionLog } = await import('./telemetry/decision-log.ts')
  return new DecisionLog(path, { observer })
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

/**
 * What killed processes left behind: bodies of exchanges that nobody will finish. Living ones keep theirs; who had our
 * own number before us, as in a container every process has, is not among them.
 */
async function sweepSpool(dataDir: string): Promise<void> {
  const folder = join(dataDir, 'spool')
  const pids = await readdir(folder).catch(() => [])
  for (const pid of pids)
    if (Number(pid) === process.pid || !isAlive(Number(pid)))
      await rm(join(folder, pid), { recursive: true, force: true })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
