import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type App, type House, startApp } from '../../src/app.ts'
import { realClock, sleep } from '../../src/core/clock.ts'
import { realDice } from '../../src/core/dice.ts'
import type { LoadReport } from '../../src/core/load-report.ts'
import type { Settings } from '../../src/core/settings.ts'
import { joinKey } from '../../src/guard/signing.ts'
import { callProxyAt } from './call-proxy.ts'
import { Host } from './host/figures.ts'
import { runProgram } from './host/program.ts'
import { Joiner } from './join.ts'
import { Looks } from './looks.ts'
import { lookThroughTo } from './loop.ts'
import { managedOllama } from './manage/managed-ollama.ts'
import { Permit } from './permit.ts'
import { reportOf } from './report.ts'
import { Restarts } from './restart.ts'
import { Standing } from './standing.ts'
import { StartSettings } from './start-settings.ts'
import { AgentSurface } from './surface.ts'
import { isThisMachine } from './this-machine.ts'

/** An Ollama on the same machine answers in this time, unless it is not there. */
const firstLooksMsMax = 1_500

export interface AgentOptions {
  /** Of one backend, which is the Ollama. */
  readonly settings: Settings
  /** The same as their sources say now; throws a ConfigError. */
  readonly read: () => Promise<Settings>
  readonly version: string
  readonly env: NodeJS.ProcessEnv
  readonly name: string
  readonly labels: readonly string[]
  /** As somebody said it; undefined: found out. */
  readonly slots: number | undefined
  readonly join: JoinOptions | undefined
  /** The program that serves, where the agent is to run it. */
  readonly manage: { readonly program: string } | undefined
  readonly say: (sentence: string) => void
}

export interface JoinOptions {
  /** Scheme, host and port of the proxy. */
  readonly origin: string
  /** Secret. */
  readonly token: string
  /** Where the proxy is to call; undefined: where our call comes from. */
  readonly advertise: string | undefined
}

export interface Agent {
  readonly app: App
  /** The number of slots and who said it, for people. */
  readonly slotsSaid: string
  /** Begins to join, if it is to. */
  join(): void
  /** Leaves the proxy, waits for what runs, and ends; last the Ollama, if it is ours. */
  stop(idleMs: number): Promise<void>
}

/**
 * The same house with one backend: the permit stands where the proxy has its line over a fleet, the agent's own paths
 * stand in front, and everything else (reading, loading, forwarding, judging) is the proxy's own code.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { env, version, manage, say } = options
  const clock = realClock()
  const backend = options.settings.backends[0]!
  const url = new URL(backend.origin)
  const isHere = isThisMachine(url)
  const supervisor =
    manage &&
    (await managedOllama({ url, isHere, ...manage, slots: options.slots, env, clock, say }))
  await supervisor?.start()
  const startedWith = new StartSettings({ url, isHere, env, slots: options.slots })
  await startedWith.learn()

  const settings = settingsOfAgent(options.settings, startedWith.slots)
  const standing = new Standing({
    key: options.join && joinKey(options.join.token),
    name: options.name,
    instance: randomBytes(8).toString('hex'),
    nonce: nonce(),
  })
  const looks = new Looks(backend.origin + backend.pathPrefix, backend.headers, () => clock.now())
  const host = new Host({
    clock,
    platform: process.platform,
    run: runProgram,
    modelsDir: () => startedWith.modelsDir,
    isHere,
  })
  const made: { permit?: Permit; house?: House } = {}
  const permit = () => made.permit!
  const app = await startApp(settings, {
    version,
    clock,
    read: async () => settingsOfAgent(await options.read(), startedWith.slots),
    room: (rooms) => {
      made.permit = new Permit({
        ...rooms,
        isFromProxy: ({ asked }) => standing.isFromProxy(asked.rawHeaders),
        modelsLoadedMax: () => startedWith.modelsLoadedMax,
      })
      return made.permit
    },
    beside: (house) => {
      made.house = house
      return surfaceIn(house)
    },
    observer: { backendTurned: (_name, state) => void (state === 'ready' && learnAnew()) },
    firstLooksMsMax,
  }).catch(async (error: unknown) => {
    await supervisor?.stop()
    throw error
  })
  const endpoint = () => app.pool.endpoints[0]!
  app.pool.onChange(() => startedWith.fix(endpoint()))
  startedWith.fix(endpoint())

  async function learnAnew(): Promise<void> {
    await startedWith.learn()
    if (made.house) startedWith.fix(made.house.pool.endpoints[0]!)
  }

  function surfaceIn(house: House): AgentSurface {
    const restarts =
      supervisor &&
      new Restarts({
        permit: permit(),
        supervisor,
        looks,
        clock,
        drainMs: () => house.settings.timeouts.drainMs,
        resident: () => endpoint().inMemory.keys(),
        look: () => house.refresh(endpoint()),
        say,
      })
    return new AgentSurface({
      standing,
      nowMs: () => clock.now(),
      wallMs: () => clock.wall(),
      lookAtOllama: (via) => lookThroughTo(house, via),
      report,
      headLoad: () => ({
        free: permit().freeSeats(),
        queue: permit().size,
        active: permit().active,
        hidden: permit().strangers(),
      }),
      restart: restarts && (() => restarts.begin()),
      drain: () => permit().drain(),
      resume: () => permit().resume(),
      status: () => ({
        running: permit()
          .running()
          .map(({ id, model, sinceMs }) => ({ id, model, since_ms: sinceMs })),
        drained: permit().drained,
        join: standing.state,
        managed: supervisor !== undefined,
      }),
    })
  }

  async function report(): Promise<LoadReport> {
    const [figures, resident, capabilities] = await Promise.all([
      host.figures(),
      looks.resident(),
      looks.capabilities(),
    ])
    return reportOf({
      atMs: clock.wall(),
      permit: permit(),
      endpoint: endpoint(),
      host: figures,
      resident,
      capabilities,
      managed: supervisor !== undefined,
      absent: supervisor?.givenUp === undefined ? {} : { ollama: supervisor.givenUp },
    })
  }

  function joinerOf({ origin, advertise }: JoinOptions): Joiner {
    return new Joiner({
      standing,
      clock,
      dice: realDice(),
      call: callProxyAt(origin),
      nonce,
      words: () => ({
        port: app.port,
        ...(advertise === undefined ? {} : { url: advertise }),
        labels: options.labels,
        version,
        managed: supervisor !== undefined,
      }),
      report,
      drained: (isDrained) => (isDrained ? permit().drain() : permit().resume()),
      say,
      proxy: origin,
    })
  }
  const joiner = options.join && joinerOf(options.join)

  return {
    app,
    slotsSaid: startedWith.slotsSaid,
    join: () => joiner?.start(),
    async stop(idleMs) {
      if (joiner) {
        permit().close()
        await joiner.leave()
        await Promise.race([permit().whenIdle(), sleep(clock, app.settings.timeouts.drainMs)])
      }
      await app.stop({ idleMs })
      await joiner?.stop()
      await supervisor?.stop()
    },
  }
}

/**
 * The proxy's settings with what only makes sense for a fleet switched off: nobody joins an agent, there is nowhere else
 * for an answer to go on, and it asks models nothing of its own. Its files are not those of a proxy beside it.
 */
function settingsOfAgent(settings: Settings, slots: number | undefined): Settings {
  return {
    ...settings,
    backends: settings.backends.map((backend) => ({ ...backend, slots })),
    dataDir: join(settings.dataDir, 'agent'),
    continuation: false,
    embed: { split: 'off' },
    join: { ...settings.join, token: undefined },
    discover: { ...settings.discover, dns: [], folder: undefined, mdns: false, scan: [] },
  }
}

const nonce = () => randomBytes(16).toString('hex')
