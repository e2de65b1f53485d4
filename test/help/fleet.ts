import {
  type Simulator,
  type SimulatorSettings,
  startSimulator,
} from '../../backends/simulator/server.ts'
import { type App, type AppDoors, startApp } from '../../src/app.ts'
import { readConfig } from '../../src/config/read.ts'
import { type Backend, backendAt } from '../../src/core/backend.ts'
import type { Clock } from '../../src/core/clock.ts'
import type { ExchangeEnded } from '../../src/core/observer.ts'
import type { Settings } from '../../src/core/settings.ts'
import { scratchFolder } from './scratch.ts'

/** A proxy in this process in front of simulated servers in this process; real sockets on free ports. */
export interface Fleet extends AsyncDisposable {
  readonly url: string
  readonly app: App
  readonly simulators: readonly Simulator[]
  /** The one sentence of every exchange that has ended, oldest first. */
  readonly ended: readonly ExchangeEnded[]
}

export interface FleetOptions {
  readonly simulators: readonly Partial<SimulatorSettings>[]
  /** YAML beside listen, data and backends. */
  readonly config?: string
  readonly backend?: (backend: Backend, index: number) => Backend
  readonly settings?: (settings: Settings) => Settings
  readonly doors?: AppDoors
  /** Asked for each simulated server: a clock in place of what its settings say. */
  readonly simulatorDoors?: () => { readonly clock: Clock }
}

/** Backends are named a, b, c … in the order given. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const folder = scratchFolder()
  const simulators = await Promise.all(
    options.simulators.map((each) => startSimulator(each, options.simulatorDoors?.())),
  )
  const backends = simulators.map(({ url }, index) => {
    const backend = backendAt(String.fromCharCode(97 + index), url)
    return options.backend?.(backend, index) ?? backend
  })
  const settings = { ...settingsFrom(options.config ?? '', folder.path), backends }
  const ended: ExchangeEnded[] = []
  const app = await startApp(options.settings?.(settings) ?? settings, {
    ...options.doors,
    observer: {
      ...options.doors?.observer,
      exchangeEnded(fact) {
        ended.push(fact)
        options.doors?.observer?.exchangeEnded?.(fact)
      },
    },
  })
  return {
    url: app.url,
    app,
    simulators,
    ended,
    async [Symbol.asyncDispose]() {
      await app.stop()
      await Promise.all(simulators.map((each) => each.close()))
      folder[Symbol.dispose]()
    },
  }
}

/** Checked settings from a piece of YAML: silent, quick to stop, on a free port. */
export function settingsFrom(config: string, dataDir: string): Settings {
  const read = readConfig(config, { fileName: 'test.yaml', env: {} })
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return {
    ...read.settings,
    dataDir,
    listen: { host: '127.0.0.1', port: 0 },
    log: { level: 'silent', format: 'json' },
    timeouts: { ...read.settings.timeouts, drainMs: 500 },
  }
}
