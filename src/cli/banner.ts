import type { App } from '../app.ts'
import type { Settings } from '../core/settings.ts'
import { stateOf } from '../http/status.ts'
import { say, strong } from './talk.ts'

export interface BannerFacts {
  readonly version: string
  readonly origin: string
  readonly demo: boolean
}

/** What a person needs in the first minute: what was found, and three lines that work when they are pasted. */
export function banner(app: App, settings: Settings, facts: BannerFacts): void {
  say(`  ${strong(`chasqui ${facts.version}`)}   ${process.version}   config: ${facts.origin}`)
  say()
  if (facts.demo) {
    say('  These are simulated servers: they write made-up text at made-up speeds.')
    say('  Nothing here runs on a real model.')
    say()
  }
  const width = Math.max(4, ...app.pool.endpoints.map(({ name }) => name.length))
  for (const endpoint of app.pool.endpoints) {
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
  if (app.pool.endpoints.length === 0) say('  ○ no backend yet')
  say()
  const [model] = app.models().filter((name) => !/embed|minilm|bge/.test(name))
  const address = app.url.replace('http://', '')
  say('  Use it with any Ollama client:')
  say(`    export OLLAMA_HOST=${address}`)
  say('  Ask it something:')
  say(
    `    curl -X POST ${app.url}/generate -d '{"model": "${model ?? 'llama3.2'}", "prompt": "Why is the sky blue?"}'`,
  )
  say('  Add a server:')
  say(`    npm start -- --backend ${facts.demo ? 'http://HOST:11434' : 'http://OTHER-HOST:11434'}`)
  say()
  if (model === undefined && app.pool.endpoints.some(({ ready }) => ready)) {
    say('  No backend has a model yet. Pull one onto all of them:')
    say(`    curl ${app.url}/api/pull -d '{"model": "llama3.2"}'`)
    say('  or try it with simulated servers: CHASQUI_DEMO=1 npm start')
    say()
  }
  if (!isLoopbackHost(settings.listen.host) && settings.adminToken === undefined)
    say(
      '  Listening beyond this machine without CHASQUI_ADMIN_TOKEN: others may ask models and read the state; nobody but this machine may change the fleet.\n',
    )
}

export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
