import { type App, startApp } from '../app.ts'
import { type ConfigOptions, loadSettings } from '../config/load.ts'
import { ConfigError } from '../config/problem.ts'
import { realClock } from '../core/clock.ts'
import type { Settings } from '../core/settings.ts'
import { banner } from './banner.ts'
import { type DemoFleet, startDemoFleet } from './demo-fleet.ts'
import { exit } from './exit-codes.ts'
import { findLocalOllama } from './local-ollama.ts'
import { data, say } from './talk.ts'

export interface ServeOptions extends ConfigOptions {
  /** `find`: what a person most likely means by `npm start`. `demo`: simulated servers. `configured`: what is named. */
  readonly fleet: 'find' | 'demo' | 'configured'
  readonly version: string
}

/** Serves until a signal says to stop; the exit code. */
export async function serve(options: ServeOptions, env: NodeJS.ProcessEnv): Promise<number> {
  let settings: Settings
  let origin: string
  try {
    const loaded = await loadSettings({ options, env, cwd: process.cwd() })
    settings = loaded.settings
    origin = loaded.origin
    for (const warning of loaded.warnings) say(`chasqui: ${warning}`)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    say(error.report)
    return exit.configInvalid
  }
  const fleet = await chooseFleet(options, settings, env)
  settings = { ...settings, backends: fleet.backends }

  let app: App
  try {
    app = await startApp(settings, { version: options.version, demo: fleet.demo !== undefined })
  } catch (error) {
    await fleet.demo?.stop()
    say(`chasqui: ${sayStartError(error, settings)}`)
    return exit.failed
  }
  banner(app, settings, { version: options.version, origin, demo: fleet.demo !== undefined })
  data(`ready ${app.url}`)

  const signal = await stopSignal()
  say(`chasqui: ${signal}, stopping`)
  await app.stop()
  await fleet.demo?.stop()
  return exit.done
}

async function chooseFleet(
  options: ServeOptions,
  settings: Settings,
  env: NodeJS.ProcessEnv,
): Promise<{ backends: Settings['backends']; demo: DemoFleet | undefined }> {
  const demoWanted = options.fleet === 'demo' || env['CHASQUI_DEMO'] === '1'
  if (!demoWanted && (options.fleet === 'configured' || settings.backends.length > 0))
    return { backends: settings.backends, demo: undefined }
  if (!demoWanted) {
    const local = await findLocalOllama()
    if (local) return { backends: [local], demo: undefined }
    say('chasqui: no Ollama answers on this machine (127.0.0.1:11434)')
  }
  const demo = await startDemoFleet(realClock())
  return { backends: demo.backends, demo }
}

function sayStartError(error: unknown, { listen: { host, port } }: Settings): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is taken; stop what listens there, or choose another with --listen ${host}:PORT`
    case 'EACCES':
      return `this user may not listen on port ${port}; choose one above 1023 with --listen ${host}:PORT`
    case 'EADDRNOTAVAIL':
      return `${host} is no address of this machine; choose one with --listen HOST:${port}`
    default:
      return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

/** The first signal stops in order; a second one means now. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        process.once(signal, () => process.exit(130))
        resolve(signal)
      })
  })
}
