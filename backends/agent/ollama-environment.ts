import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** What an Ollama was told by its environment, as far as it matters to who stands in front of it. */
export interface OllamaEnvironment {
  /** OLLAMA_NUM_PARALLEL: slots for each model in memory. */
  readonly slots: number | undefined
  /** OLLAMA_MAX_LOADED_MODELS; its 0 means that Ollama decides by itself, which nobody can know. */
  readonly modelsLoadedMax: number | undefined
  /** OLLAMA_MODELS. */
  readonly modelsDir: string | undefined
}

type Variables = Readonly<Record<string, string | undefined>>

/** More slots, or models, than any machine has: a mistake, and not believed. */
const countMax = 1_024

export function readVariables(variables: Variables): OllamaEnvironment {
  return {
    slots: countOf(variables['OLLAMA_NUM_PARALLEL']),
    modelsLoadedMax: countOf(variables['OLLAMA_MAX_LOADED_MODELS']),
    modelsDir: variables['OLLAMA_MODELS'] || undefined,
  }
}

/** What the first does not say, the next may. */
export function firstSaid(...all: readonly OllamaEnvironment[]): OllamaEnvironment {
  const first = <Key extends keyof OllamaEnvironment>(key: Key) =>
    all.find((each) => each[key] !== undefined)?.[key]
  return {
    slots: first('slots'),
    modelsLoadedMax: first('modelsLoadedMax'),
    modelsDir: first('modelsDir'),
  }
}

/**
 * The environment of the process that listens on this port of this machine. Linux tells it to the same user and to
 * root; everywhere else, and to everybody else, it is unknown, which is no error.
 */
export async function environmentOfListener(
  port: number,
  proc = '/proc',
): Promise<OllamaEnvironment> {
  const tables = await Promise.all(
    ['net/tcp', 'net/tcp6'].map((name) => readFile(join(proc, name), 'utf8').catch(() => '')),
  )
  const inodes = new Set(tables.flatMap((table) => listeningInodes(table, port)))
  if (inodes.size === 0) return nothingSaid
  const links = new Set([...inodes].map((inode) => `socket:[${inode}]`))
  for (const pid of (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    if (!(await holdsOneOf(join(proc, pid, 'fd'), links))) continue
    const text = await readFile(join(proc, pid, 'environ'), 'utf8').catch(() => undefined)
    if (text !== undefined) return readVariables(variablesIn(text))
  }
  return nothingSaid
}

/** Of sockets that listen on this port, in the text of /proc/net/tcp or tcp6 (see proc(5)). */
export function listeningInodes(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
    return state === '0A' && local.endsWith(`:${wanted}`) && inode !== undefined ? [inode] : []
  })
}

/** `NAME=value` with a NUL behind each. */
export function variablesIn(environ: string): Variables {
  const pairs = environ.split('\0').flatMap((pair) => {
    const at = pair.indexOf('=')
    return at > 0 ? [[pair.slice(0, at), pair.slice(at + 1)] as const] : []
  })
  return Object.fromEntries(pairs)
}

async function holdsOneOf(folder: string, links: ReadonlySet<string>): Promise<boolean> {
  for (const name of await readdir(folder).catch(() => [])) {
    const link = await readlink(join(folder, name)).catch(() => '')
    if (links.has(link)) return true
  }
  return false
}

function countOf(text: string | undefined): number | undefined {
  const count = Number(text?.trim() || Number.NaN)
  return Number.isInteger(count) && count >= 1 && count <= countMax ? count : undefined
}

const nothingSaid: OllamaEnvironment = {
  slots: undefined,
  modelsLoadedMax: undefined,
  modelsDir: undefined,
}
