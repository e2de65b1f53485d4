import { type App, CannotTakeOver, type StopOptions, startApp } from '../app.ts'
import { type ConfigOptions, type LoadedSettings, loadSettings } from '../config/load.ts'
import { ConfigError } from '../config/problem.ts'
import { realClock } from '../core/clock.ts'
import type { ListenAddress, Settings } from '../core/settings.ts'
import { type AdminToken, keptAdminToken } from './admin-token.ts'
import { banner, type FleetKind, isLoopbackHost } from './banner.ts'
import type { DemoFleet } from './demo-fleet.ts'
import { exit } from './exit-codes.ts'
import { reloadOnChange } from './reload-on-change.ts'
import { data, say } from './talk.ts'
import { tuneEngine } from './tune-engine.ts'
import { socketFd, underSupervisor } from './under-supervisor.ts'

/** How long an idle connection is kept for a client that is about to use it: at a stop, and where another serves. */
const idleMsAtStop = 300
const idleMsWhenReplaced = 5_000

export interface ServeOptions extends ConfigOptions {
  /** `find`: what a person most likely means by `npm start`. `demo`: simulated servers. `configured`: what is named. */
  readonly fleet: 'find' | 'demo' | 'configured'
  readonly version: string
  /** For a listener that others can reach: an admin token of our own when none is given. */
  readonly makeAdminToken?: boolean | undefined
}

/** Serves until a signal says to stop; the exit code. */
export async function serve(options: ServeOptions, env: NodeJS.ProcessEnv): Promise<number> {
  // From here on: who says stop while we start gets an orderly stop, too.
  const stopped = stopSignal()
  const supervisor = underSupervisor(env)
  let loaded: LoadedSettings
  try {
    loaded = await loadSettings({ options, env, cwd: process.cwd() })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    say(error.report)
    return exit.configInvalid
  }
  for (const warning of loaded.warnings) say(`chasqui: ${warning}`)
  const mayMakeToken = options.makeAdminToken || loaded.switches.makeAdminToken
  const kept = mayMakeToken ? await adminTokenFor(loaded.settings) : undefined
  if (kept === 'failed') return exit.failed
  const fleet = await chooseFleet(options, loaded)
  /** With what no file says. */
  const whole = (settings: Settings): Settings => ({
    ...settings,
    listen: sameSocket(settings.listen, supervisor?.listen),
    adminToken: settings.adminToken ?? kept,
    // The Ollama that was found stands in for backends that nobody had named.
    backends:
      fleet.kind === 'configured' || (fleet.kind === 'local' && settings.backends.length > 0)
        ? settings.backends
        : fleet.backends,
  })
  let settings = whole(loaded.settings)
  if (supervisor?.listen) {
    const { listen } = supervisor
    if (settings.listen !== listen)
      say(`chasqui: listen needs a restart of the supervisor; the socket is ${sayAddress(listen)}`)
    settings = { ...settings, listen }
  }
  const demo = fleet.demo !== undefined

  let app: App
  try {
    app = await startApp(settings, {
      version: options.version,
      demo,
      read: async () => whole((await loadAgain(options, env, loaded)).settings),
      ...(supervisor?.listen
        ? { inherited: { fd: socketFd, otherFinds: supervisor.otherFinds } }
        : {}),
      // These answer for sure, and the banner names their models.
      ...(fleet.kind === 'configured' ? {} : { firstLooksMsMax: 3_000 }),
    })
  } catch (error) {
    await fleet.demo?.stop()
    say(`chasqui: ${sayStartError(error, settings)}`)
    return exit.failed
  }
  if (!supervisor?.listen)
    banner(app, settings, { version: options.version, origin: loaded.origin, fleet: fleet.kind })
  // Before anybody can know that we are here: an unheard signal would end the process.
  using _watching = reloadOnChange(app, loaded.file)
  if (!supervisor && process.platform !== 'win32')
    process.on('SIGUSR2', () => say('chasqui: SIGUSR2 replaces a server that is --supervised'))
  if (supervisor) supervisor.ready(app)
  else data(`ready ${app.url}`)
  tuneEngine()

  const stop = await Promise.race([stopped, ...(supervisor ? [supervisor.left] : [])])
  say(`chasqui: ${stop}, stopping`)
  await app.stop(stopOptions(stop))
  await fleet.demo?.stop()
  return exit.done
}

/** A file that is gone is no wish to go on without all that was in it. */
async function loadAgain(
  options: ServeOptions,
  env: NodeJS.ProcessEnv,
  { origin }: LoadedSettings,
): Promise<LoadedSettings> {
  const again = await loadSettings({ options, env, cwd: process.cwd() })
  if (again.origin !== origin && again.origin === 'no file') {
    const where = { file: origin, line: undefined, column: undefined, path: '' }
    throw new ConfigError([{ ...where, message: 'the file does not exist any more' }])
  }
  return again
}

/** Port 0 is any port: the one that was bound is the one that is meant. */
function sameSocket(wanted: ListenAddress, bound: ListenAddress | undefined): ListenAddress {
  const isMeant = wanted.port === 0 || wanted.port === bound?.port
  return bound && wanted.host === bound.host && isMeant ? bound : wanted
}

const sayAddress = ({ host, port }: ListenAddress) => `${host}:${port}`

/** The token that is kept, where it is needed; it is shown when it is made, and never again. */
async function adminTokenFor(settings: Settings): Promise<string | undefined | 'failed'> {
  if (settings.adminToken !== undefined || isLoopbackHost(settings.listen.host)) return undefined
  let kept: AdminToken
  try {
    kept = await keptAdminToken(settings.dataDir)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'no reason given'
    say(
      `chasqui: no admin token can be kept in ${settings.dataDir} (${why}); make that directory writable, or set CHASQUI_ADMIN_TOKEN`,
    )
    return 'failed'
  }
  say(
    kept.isNew
      ? `chasqui: made an admin token, shown only now and kept in ${kept.file}: ${kept.token}`
      : `chasqui: the admin token is the one in ${kept.file}`,
  )
  return kept.token
}

interface ChosenFleet {
  readonly kind: FleetKind
  readonly backends: Settings['backends']
  readonly demo?: DemoFleet
}

async function chooseFleet(
  options: ServeOptions,
  { settings, switches }: LoadedSettings,
): Promise<ChosenFleet> {
  const { backends } = settings
  const demoWanted = options.fleet === 'demo' || switches.demo
  if (!demoWanted && (options.fleet === 'configured' || backends.length > 0))
    return { kind: 'configured', backends }
  if (!demoWanted) {
    // Loaded only when they are wanted: they take as long as everything else together.
    const { findLocalOllama } = await import('./local-ollama.ts')
    const local = await findLocalOllama()
    if (local) return { kind: 'local', backends: [local] }
    if (othersCome(settings)) return { kind: 'configured', backends }
    say('chasqui: no Ollama answers on this machine (127.0.0.1:11434), so this is the demo')
  } else if (backends.length > 0)
    say('chasqui: this is the demo, so the backends that are configured are left out')
  const { startDemoFleet } = await import('./demo-fleet.ts')
  const demo = await startDemoFleet(realClock())
  return { kind: 'demo', backends: demo.backends, demo }
}

/** Backends that join or are found: then a fleet without any is no reason for a demo. */
function othersCome({ join, discover }: Settings): boolean {
  const { dns, folder, mdns, scan } = discover
  return join.token !== undefined || folder !== undefined || mdns || dns.length + scan.length > 0
}

export function sayStartError(error: unknown, { listen: { host, port } }: Settings): string {
  if (error instanceof CannotTakeOver) return error.message
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is taken; stop what listens there, or choose another with --listen ${host}:PORT`
    case 'EACCES':
      return `this user may not listen on port ${port}; choose one above 1023 with --listen ${host}:PORT`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is no address of this machine; choose one with --listen HOST:${port}`
    default:
      return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

function stopOptions(stop: string): StopOptions {
  switch (stop) {
    case 'replaced':
      return { idleMs: idleMsWhenReplaced, withoutNotice: true, replaced: true }
    case 'orphaned':
      // The next start wants the port.
      return { idleMs: idleMsAtStop, withoutNotice: true }
    default:
      return { idleMs: idleMsAtStop }
  }
}

/** The first signal stops in order; a second one, of whichever kind, means now. */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let told = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => {
        if (told) process.exit(exit.interrupted)
        told = true
        resolve(signal)
      })
  })
}
