import type { App } from '../app.ts'
import { soundsLikeEmbedding } from '../core/model-name.ts'
import type { Settings } from '../core/settings.ts'
import { stateOf } from '../http/status.ts'
import { say, strong } from './talk.ts'

/** Where the backends come from: the configuration, the Ollama of this machine, or the demo. */
export type FleetKind = 'configured' | 'local' | 'demo'

export interface BannerFacts {
  readonly version: string
  readonly origin: string
  readonly fleet: FleetKind
}

/** What a person needs in the first minute: what was found, and three lines that work when they are pasted. */
export function banner(app: App, settings: Settings, facts: BannerFacts): void {
  say(`  ${strong(`chasqui ${facts.version}`)}   ${process.version}   config: ${facts.origin}`)
  say()
  if (facts.fleet === 'demo') {
    say('  These are simulated servers: they write made-up text at made-up speeds.')
    say('  Nothing here runs on a real model.')
    say()
  }
  sayBackends(app)
  say()
  const model = modelToTry(app)
  say('  Use it with any Ollama client:')
  say(`    export OLLAMA_HOST=${app.url.replace('http://', '')}`)
  say('  Ask it something:')
  say(
    `    curl -X POST ${app.url}/generate -d '{"model": "${model ?? 'llama3.2'}", "prompt": "Why is the sky blue?"}'`,
  )
  sayHowToAdd(settings, facts)
  say()
  if (model === undefined && app.pool.endpoints.some(({ ready }) => ready)) {
    say('  No backend has a model that writes text yet. Pull one onto all of them:')
    say(`    curl ${app.url}/api/pull -d '{"model": "llama3.2"}'`)
    say('  or try it with simulated servers: CHASQUI_DEMO=1 npm start')
    say()
  }
  if (!isLoopbackHost(settings.listen.host) && settings.adminToken === undefined)
    say(
      '  Listening beyond this machine without CHASQUI_ADMIN_TOKEN: others may ask models and read the state; nobody but this machine may change the fleet.\n',
    )
}

function sayBackends({ pool }: App): void {
  const width = Math.max(4, ...pool.endpoints.map(({ name }) => name.length))
  for (const endpoint of pool.endpoints) {
    const { state, reason } = stateOf(endpoint)
    const models = endpoint.onDisk.size === 1 ? '1 model' : `${endpoint.onDisk.size} models`
    const loaded = [...endpoint.inMemory.keys()].join(', ')
    const mark = state === 'ready' ? '✓' : '○'
    const what =
      state === 'ready'
        ? `v${endpoint.version ?? '?'}   ${models}${loaded === '' ? '' : `   loaded: ${loaded}`}`
        : `${state}: ${reason}`
    say(
      `  ${mark} ${endpoint.name.padEnd(width)}   ${endpoint.backend.origin.replace(/^https?:\/\//, '')}   ${what}`,
    )
  }
  if (pool.endpoints.length === 0) say('  ○ no backend yet: every request is answered with 503')
  else if (!pool.endpoints.some(({ ready }) => ready))
    say(
      '  No backend answers yet: requests are answered with 503 until one does; each is asked again and again.',
    )
}

/** One that writes text: a loaded one first, since it answers at once, then the one that most backends have. */
function modelToTry({ pool }: App): string | undefined {
  const ready = pool.endpoints.filter((endpoint) => endpoint.ready)
  const holders = new Map<string, number>()
  for (const endpoint of ready)
    for (const name of endpoint.onDisk.keys())
      if (!soundsLikeEmbedding(name)) {
        const loaded = endpoint.inMemory.has(name) ? ready.length : 0
        holders.set(name, (holders.get(name) ?? 0) + 1 + loaded)
      }
  const [best] = [...holders].sort(
    ([nameA, countA], [nameB, countB]) => countB - countA || (nameA < nameB ? -1 : 1),
  )
  return best?.[0].replace(/:latest$/, '')
}

/** Flags replace the list that there is, so the line names those that serve now as well. */
function sayHowToAdd({ backends }: Settings, { fleet, origin }: BannerFacts): void {
  if (fleet === 'configured' && origin !== 'no file') {
    say('  Add a server: a line under "backends" in')
    say(`    ${origin}`)
    return
  }
  const other = '--backend http://OTHER-HOST:11434'
  if (fleet === 'demo') {
    say('  Use servers of your own (stop this first):')
    say(`    npm start -- ${other}`)
    return
  }
  say('  Add a server (stop this first):')
  // A login is never printed, and without it the line would not work.
  if (backends.some(({ headers }) => Object.keys(headers).length > 0)) {
    say(`    the same command with ${other}`)
    return
  }
  const known = backends.map((backend) => `--backend ${backend.origin}${backend.pathPrefix} `)
  say(`    npm start -- ${known.join('')}${other}`)
}

export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
