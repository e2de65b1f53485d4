import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Fault, ModelSpec, SimulatorStats } from '../../backends/simulator/server.ts'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import type { queueStatus } from '../../src/http/status.ts'
import { type RunningProcess, startProxyProcess, startSimulatorProcess } from './processes.ts'
import { scratchFolder } from './scratch.ts'
import { until } from './until.ts'

/** A simulated server in another process, asked through its control path. */
export interface Remote {
  readonly name: string
  readonly url: string
  readonly process: RunningProcess
  /** What it was asked to do for clients: the proxy's own questions (lists, loads) are left out. */
  trace(): Promise<TraceEntry[]>
  clearTrace(): Promise<void>
  faults(...faults: Fault[]): Promise<void>
  state(): Promise<SimulatorStats>
  /** A model appears on the disk, or goes, behind everybody's back. */
  put(spec: ModelSpec): Promise<void>
  models(): Promise<string[]>
  loaded(): Promise<string[]>
}

/** The proxy and its backends, each a process of its own, named a, b, c … */
export interface Herd extends AsyncDisposable {
  readonly url: string
  readonly proxy: RunningProcess
  readonly remotes: readonly Remote[]
  status(): Promise<ReturnType<typeof queueStatus>>
}

export interface HerdOptions {
  /** Arguments of `chasqui simulate`, one list for each server. */
  readonly simulators: readonly (readonly string[])[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** YAML below each backend's url and name, by its index: what has no argument. */
  readonly backend?: (index: number) => string
}

/** The proxy alone, in front of servers that run: again after it was ended, say. */
export async function startProxy(
  remotes: readonly Pick<Remote, 'name' | 'url'>[],
  { args = [], env = {}, backend }: Omit<HerdOptions, 'simulators'> = {},
): Promise<RunningProcess> {
  const given = { ...quickProbes, ...env }
  const named = remotes.map(({ url, name }) => `${url},name=${name}`)
  if (!backend) return await startProxyProcess(named, args, given)
  using folder = scratchFolder()
  const file = join(folder.path, 'fleet.yaml')
  const rows = remotes.map(
    ({ url, name }, index) => `  - url: ${url}\n    name: ${name}\n    ${backend(index)}\n`,
  )
  writeFileSync(file, `version: 1\nbackends:\n${rows.join('')}`)
  return await startProxyProcess([], ['--config', file, ...args], given)
}

export async function startHerd({ simulators, ...options }: HerdOptions): Promise<Herd> {
  const remotes = await Promise.all(
    simulators.map(async (each, index) => {
      const name = String.fromCharCode(97 + index)
      return remote(name, await startSimulatorProcess(['--name', name, ...each]))
    }),
  )
  const proxy = await startProxy(remotes, options)
  const herd: Herd = {
    url: proxy.url,
    proxy,
    remotes,
    status: () => statusOf(proxy.url),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]()
      await Promise.all(remotes.map(({ process }) => process[Symbol.asyncDispose]()))
    },
  }
  await until(async () => {
    const { active_backends, total_backends } = await herd.status()
    return active_backends === total_backends
  })
  return herd
}

/** So that what a test waits for is seen soon; the proportions are those of the defaults. */
const quickProbes = {
  CHASQUI_PROBES_INTERVAL: '300ms',
  CHASQUI_PROBES_TIMEOUT: '250ms',
  CHASQUI_LOG_LEVEL: 'warn',
}

export async function statusOf(proxyUrl: string): Promise<ReturnType<typeof queueStatus>> {
  return (await (await fetch(`${proxyUrl}/queue-status`)).json()) as ReturnType<typeof queueStatus>
}

export function remote(name: string, process: RunningProcess): Remote {
  const { url } = process
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(url + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return await answer.json()
  }
  const namesIn = async (path: string) =>
    ((await call('GET', path)) as { models: { name: string }[] }).models.map(({ name }) => name)
  return {
    name,
    url,
    process,
    async trace() {
      const { entries } = (await call('GET', '/sim/trace')) as { entries: TraceEntry[] }
      return entries.filter(({ method }) => method !== 'GET')
    },
    clearTrace: async () => void (await call('DELETE', '/sim/trace')),
    faults: async (...faults) => void (await call('PUT', '/sim/faults', faults)),
    state: async () => (await call('GET', '/sim/state')) as SimulatorStats,
    put: async (spec) => void (await call('PUT', '/sim/load', spec)),
    models: async () => (await namesIn('/api/tags')).sort(),
    loaded: async () => await namesIn('/api/ps'),
  }
}

/** An answer with nothing between it and the test: fetch would follow, decode and complain. */
export interface PlainAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  readonly text: string
}

/** One request by node:http, on a connection of its own. */
export function ask(
  url: string,
  options: {
    method?: string
    headers?: Readonly<Record<string, string>>
    body?: string | Uint8Array
  } = {},
): Promise<PlainAnswer> {
  const { method = 'GET', body } = options
  // Node sends the body of a DELETE without any framing unless it is told the length.
  const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      { method, headers: { ...length, ...options.headers }, agent: false },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const body = Buffer.concat(chunks)
          const { statusCode = 0, headers } = answer
          resolve({ status: statusCode, headers, body, text: body.toString('utf8') })
        })
      },
    )
    call.on('error', reject)
    call.end(body)
  })
}
