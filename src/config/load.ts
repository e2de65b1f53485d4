import { resolve } from 'node:path'
import type { Settings } from '../core/settings.ts'
import { type ListedBackend, readBackendList } from './backend-list.ts'
import { slotsMax } from './backend-schema.ts'
import { checkConfig } from './check.ts'
import { coerce } from './coerce.ts'
import type { ReadDocument } from './document.ts'
import { unknownVariables, withEnvironment } from './environment.ts'
import { type ConfigText, readConfigFile } from './file.ts'
import { Places } from './places.ts'
import { ConfigError, type Problem, type ShowPlace } from './problem.ts'
import type { Environment } from './substitute.ts'

/** What the command line says. */
export interface ConfigOptions {
  readonly config?: string | undefined
  /** Each `URL[,name=N][,slots=P]`. */
  readonly backends?: readonly string[] | undefined
  /** For every backend that does not say its own. */
  readonly slots?: number | undefined
  readonly listen?: string | undefined
}

export interface LoadedSettings {
  readonly settings: Settings
  readonly warnings: readonly string[]
  /** The file that was read, or "no file". */
  readonly origin: string
  /** Where the file stands, or would; and what was in it. */
  readonly file: { readonly path: string; readonly text: string }
  /** What only a command can do, and no key of the file says. */
  readonly switches: {
    readonly demo: boolean
    readonly makeAdminToken: boolean
    readonly supervised: boolean
  }
}

interface Source {
  readonly in: 'environment' | 'command line'
  readonly name: string
}

/** Settings from flags, variables, the file and the defaults; who is named first wins. */
export async function loadSettings({
  options = {},
  env,
  cwd,
}: {
  readonly options?: ConfigOptions
  readonly env: Environment
  readonly cwd: string
}): Promise<LoadedSettings> {
  const file = await readConfigFile(options.config, env, cwd)
  const { data: fromFile, places, problems: before } = await dataOf(file, env)
  const problems: Problem[] = [...before]

  let data = withEnvironment(fromFile, env, places)
  if (options.listen !== undefined) {
    data = { ...data, listen: options.listen }
    places.set(['listen'], { in: 'command line', name: '--listen' })
  }
  const listed = listedBackends(options, env, places, problems)
  if (listed) data = { ...data, backends: listed }
  data = withSlots(data, options, env, places, problems)

  const switches = {
    demo: switchOf('CHASQUI_DEMO', env, problems),
    makeAdminToken: switchOf('CHASQUI_MAKE_ADMIN_TOKEN', env, problems),
    supervised: switchOf('CHASQUI_SUPERVISED', env, problems),
  }
  const result = checkConfig(data, places, { env, cwd, before: problems })
  if (!result.ok) {
    const { frameOf } = await import('./frame.ts')
    const showPlace: ShowPlace = (line, column) => frameOf(file.text, line, column)
    throw new ConfigError(result.problems, file.text === '' ? undefined : showPlace)
  }
  return {
    settings: result.settings,
    warnings: unknownVariables(env),
    origin: originOf(file),
    file: { path: resolve(cwd, file.name), text: file.text },
    switches,
  }
}

/** Who has no file does not wait for what reads one. */
async function dataOf(file: ConfigText, env: Environment): Promise<ReadDocument> {
  if (!file.found) return { data: {}, places: new Places(file.name), problems: [] }
  const { readDocument } = await import('./document.ts')
  return readDocument(file.text, file.name, env)
}

const originOf = (file: ConfigText) => (file.found ? file.name : 'no file')

function switchOf(name: string, env: Environment, problems: Problem[]): boolean {
  const value = coerce(env[name] || '0', 'boolean')
  if (typeof value === 'boolean') return value
  const source: Source = { in: 'environment', name }
  problems.push(problemOf(source, 'must be 1 or 0', 'leave it unset for 0'))
  return false
}

/** Backends from the command line, or else from the environment; they replace those of the file. */
function listedBackends(
  options: ConfigOptions,
  env: Environment,
  places: Places,
  problems: Problem[],
): ListedBackend[] | undefined {
  const fromFlags = options.backends !== undefined && options.backends.length > 0
  const texts = fromFlags
    ? (options.backends ?? [])
    : [env['CHASQUI_BACKENDS'] ?? ''].filter(Boolean)
  if (texts.length === 0) return undefined
  const source: Source = fromFlags
    ? { in: 'command line', name: '--backend' }
    : { in: 'environment', name: 'CHASQUI_BACKENDS' }
  places.set(['backends'], source)
  const listed = texts.flatMap((words) => {
    const read = readBackendList(words)
    if (!('message' in read)) return read
    problems.push(problemOf(source, read.message, read.hint))
    return []
  })
  listed.forEach((backend, index) => {
    for (const path of [[], ...Object.keys(backend).map((key) => [key])])
      places.set(['backends', index, ...path], source)
  })
  return listed
}

/** Gives the slots of the command line or the environment to every backend without its own. */
function withSlots(
  data: Record<string, unknown>,
  options: ConfigOptions,
  env: Environment,
  places: Places,
  problems: Problem[],
): Record<string, unknown> {
  const words = options.slots ?? (env['CHASQUI_SLOTS'] || undefined)
  if (words === undefined) return data
  const source: Source =
    options.slots === undefined
      ? { in: 'environment', name: 'CHASQUI_SLOTS' }
      : { in: 'command line', name: '--slots' }
  const slots = Number(words)
  if (!Number.isInteger(slots) || slots < 1 || slots > slotsMax) {
    const found = typeof words === 'number' ? words : JSON.stringify(words)
    problems.push(problemOf(source, `must be a whole number from 1 to ${slotsMax}, not ${found}`))
    return data
  }
  const backends = data['backends']
  if (!Array.isArray(backends)) return data
  const filled = backends.map((backend: unknown, index) => {
    if (typeof backend !== 'object' || backend === null || Array.isArray(backend)) return backend
    if ('slots' in backend && backend.slots !== undefined) return backend
    places.set(['backends', index, 'slots'], source)
    return { ...backend, slots }
  })
  return { ...data, backends: filled }
}

function problemOf(source: Source, message: string, hint?: string): Problem {
  const where = { file: source.in, line: undefined, column: undefined, path: source.name }
  return { ...where, message, ...(hint === undefined ? {} : { hint }) }
}
