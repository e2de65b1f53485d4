import { hostname } from 'node:os'
import type { Agent, JoinOptions } from '../../backends/agent/agent.ts'
import { readListenAddress } from '../config/listen-address.ts'
import { type LoadedSettings, loadSettings } from '../config/load.ts'
import { maskUrl } from '../config/mask.ts'
import { ConfigError } from '../config/problem.ts'
import type { Settings } from '../core/settings.ts'
import { isLoopbackHost } from './banner.ts'
import { exit } from './exit-codes.ts'
import { reloadOnChange } from './reload-on-change.ts'
import { sayStartError, stopSignal } from './serve.ts'
import { data, say } from './talk.ts'
import { tuneEngine } from './tune-engine.ts'

export interface AgentFlags {
  readonly ollama: string
  readonly listen?: string
  readonly config?: string
  readonly join?: string
  readonly token?: string
  readonly advertise?: string
  readonly name?: string
  readonly labels?: string
  readonly slots?: number
  readonly manage?: boolean
  readonly ollamaBin?: string
}

/** Ollama's own port plus two: the one between is the proxy's. */
const listenUsual = '127.0.0.1:11436'
const idleMsAtStop = 300

/** Serves in front of one Ollama until a signal says to stop; the exit code. */
export async function agent(
  flags: AgentFlags,
  env: NodeJS.ProcessEnv,
  version: string,
): Promise<number> {
  // From here on: who says stop while we start gets an orderly stop, too.
  const stopped = stopSignal()
  const listen = listenOf(flags.listen ?? listenUsual, env['PORT'])
  if (listen === undefined) return exit.wrongUsage
  const options = { config: flags.config, listen, backends: [`${flags.ollama},name=ollama`] }
  const load = () => loadSettings({ options, env, cwd: process.cwd() })
  let loaded: LoadedSettings
  try {
    loaded = await load()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    say(error.report)
    return exit.configInvalid
  }
  const { settings, file } = loaded
  const joining = joinOf(flags, settings)
  if (joining === 'wrong') return exit.wrongUsage
  const name = nameOf(flags.name)
  if (name === undefined) return exit.wrongUsage

  const { startAgent } = await import('../../backends/agent/agent.ts')
  const { CannotManage } = await import('../../backends/agent/manage/managed-ollama.ts')
  let running: Agent
  try {
    running = await startAgent({
      settings,
      read: async () => (await load()).settings,
      version,
      env,
      name,
      labels: wordsIn(flags.labels),
      slots: flags.slots,
      join: joining,
      manage: flags.manage ? { program: flags.ollamaBin ?? 'ollama' } : undefined,
      say: (sentence) => say(`chasqui agent: ${sentence}`),
    })
  } catch (error) {
    say(
      `chasqui agent: ${error instanceof CannotManage ? error.message : sayStartError(error, settings)}`,
    )
    return exit.failed
  }
  sayHello(running, flags, settings, joining)
  using _watching = reloadOnChange(running.app, file)
  data(`ready ${running.app.url}`)
  tuneEngine()
  running.join()

  const stop = await stopped
  say(`chasqui agent: ${stop}, stopping`)
  await running.stop(idleMsAtStop)
  return exit.done
}

/** `PORT` is the port, wherever the rest comes from: that is how the programs that this one replaces were told. */
function listenOf(words: string, port: string | undefined): string | undefined {
  if (port === undefined || port === '') return words
  const given = readListenAddress(words)
  if ('message' in given) return words // said with everything else that is wrong
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    say(`chasqui agent: PORT is a number up to 65535, not "${port}"`)
    return undefined
  }
  return `${given.host.includes(':') ? `[${given.host}]` : given.host}:${port}`
}

function joinOf(flags: AgentFlags, settings: Settings): JoinOptions | undefined | 'wrong' {
  const { join, advertise } = flags
  const wrong = (sentence: string) => {
    say(`chasqui agent: ${sentence}`)
    return 'wrong' as const
  }
  if (join === undefined) {
    if (advertise === undefined && flags.token === undefined) return undefined
    return wrong('--token and --advertise are for joining a proxy: add --join http://PROXY:11435')
  }
  const origin = originOf(join)
  if (origin === undefined)
    return wrong(
      `--join needs the URL of the proxy, such as http://PROXY:11435, not "${maskUrl(join)}"`,
    )
  if (advertise !== undefined && originOf(advertise)?.startsWith('http:') !== true)
    return wrong('--advertise needs a URL such as http://192.168.1.20:11436')
  const token = flags.token ?? settings.join.token
  if (token === undefined || token === '')
    return wrong(
      '--join needs the token of the proxy: --token T, or CHASQUI_JOIN_TOKEN (there it is join.token)',
    )
  return { origin, token, advertise }
}

/** Scheme, host and port, where that is all there is. */
function originOf(words: string): string | undefined {
  const text = words.includes('://') ? words : `http://${words}`
  if (!URL.canParse(text)) return undefined
  const { protocol, origin, pathname, search, username } = new URL(text)
  const isPlain = pathname === '/' && search === '' && username === ''
  return isPlain && (protocol === 'http:' || protocol === 'https:') ? origin : undefined
}

/** As names of backends are written; the name of this machine unless another one is given. */
function nameOf(given: string | undefined): string | undefined {
  const name =
    given ??
    hostname()
      .toLowerCase()
      .replace(/\..*$/, '')
      .replaceAll(/[^a-z0-9_-]/g, '-')
  if (/^[a-z0-9][a-z0-9_.-]{0,63}$/.test(name)) return name
  say(
    given === undefined
      ? 'chasqui agent: the name of this machine is no name for a backend: give one with --name'
      : `chasqui agent: --name has up to 64 signs of a-z, 0-9, - _ and ., and begins with a letter or digit`,
  )
  return undefined
}

function wordsIn(text = ''): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function sayHello(
  { app, slotsSaid }: Agent,
  { manage }: AgentFlags,
  { listen: { host } }: Settings,
  joining: JoinOptions | undefined,
): void {
  const endpoint = app.pool.endpoints[0]!
  const { ready } = endpoint
  // Not as it was given: there may be a password in it.
  const ollama = endpoint.backend.origin + endpoint.backend.pathPrefix
  say(`chasqui agent: in front of ${ollama}; slots: ${slotsSaid}`)
  if (!ready && !manage)
    say(
      `chasqui agent: no Ollama answers at ${ollama} yet; requests get 503 until one does (start it with "ollama serve", or let the agent do it with --manage)`,
    )
  if (joining && joining.advertise === undefined && isLoopbackHost(host)) {
    const proxyHost = new URL(joining.origin).hostname.replace(/^\[|\]$/g, '')
    if (!isLoopbackHost(proxyHost))
      say(
        `chasqui agent: it listens on ${host} only, where ${joining.origin} can not reach it; listen for others with --listen :${app.port}`,
      )
  }
}
