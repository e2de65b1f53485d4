import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../help/until.ts'
import { simulated } from './asking.ts'
import { StormBackend } from './backend.ts'
import { Book } from './book.ts'
import { StormClient } from './client.ts'
import { judge, type Verdict } from './judge.ts'
import { type Baseline, comparedWith } from './measured.ts'
import type { Measured, ProxyOrder, ProxyReply } from './proxy-host.ts'
import { type Errand, type Step, scriptOf } from './script.ts'
import { ToldProcess } from './told-processes.ts'
import { type BackendName, backendNames, gated, type StormEvent, usual } from './troubles.ts'

export interface StormOptions {
  readonly exchanges: number
  readonly clients: number
}

export const usualOptions: StormOptions = { exchanges: 10_000, clients: 200 }

/** What came of a storm. Without complaints it was weathered. */
export interface Weathered {
  readonly seed: number
  readonly exchanges: number
  readonly tookMs: number
  readonly verdicts: Readonly<Record<Verdict, number>>
  readonly events: number
  readonly baseline: Baseline
  readonly afterwards: Baseline
  readonly complaints: readonly string[]
}

/** Where nothing is said to the contrary; each line is a section, which a reload may bring in another form. */
const config: Readonly<Record<string, string>> = {
  probes: '{ interval: 700ms, timeout: 650ms, models_every: 2s }',
  breaker: '{ failures: 5, rest: 100ms, rest_max: 500ms }',
  timeouts: '{ connect: 1s, first_byte: 3s, idle: 3s }',
  queue: '{ timeout: 15s }',
  limits: '{ body_in_memory_max: 8KiB }',
}

type Loaded = Omit<StormEvent & { kind: 'reload' }, 'at' | 'kind'>

/** A proxy and its backends, for one storm or for many one after another. */
export class StormWorld implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'chasqui-storm-'))
  readonly #backends: Readonly<Record<BackendName, StormBackend>>
  readonly #proxy: ToldProcess<ProxyOrder, ProxyReply>
  #url = ''
  #book = new Book()
  #baseline: Baseline | undefined

  constructor() {
    const backend = (name: BackendName) =>
      new StormBackend(name, { ...simulated, name }, name === gated)
    this.#backends = { a: backend('a'), b: backend('b'), c: backend('c'), d: backend('d') }
    this.#proxy = new ToldProcess<ProxyOrder, ProxyReply>(
      './proxy-host.ts',
      ['--expose-gc'],
      (reply) => this.#aside(reply),
    )
  }

  async start(): Promise<void> {
    await Promise.all(this.#all.map((each) => each.start()))
    const yaml = this.#yaml(usual)
    const reply = await this.#proxy.tell({ kind: 'start', yaml, dataDir: this.#folder })
    if (!('url' in reply)) throw new Error('the proxy did not start')
    this.#url = reply.url
  }

  async weather(seed: number, { exchanges, clients }: StormOptions): Promise<Weathered> {
    const startedMs = performance.now()
    const book = new Book()
    this.#book = book
    const script = scriptOf(seed, exchanges)
    await this.#everybodyBack()
    await this.#play(script.before, clients, true)
    await this.#play(script.squall, clients, false)
    await this.#everybodyBack()
    const first = await this.#measured()
    this.#baseline ??= first
    await this.#play(script.storm, clients, false)
    await this.#everybodyBack()
    await this.#play(script.after, clients, true)
    const afterwards = await this.#measured()
    for (const each of this.#all) {
      const state = await each.tell({ kind: 'state' })
      if (!state || !('openRequests' in state) || state.openRequests !== 0)
        book.complain(`${each.name} still works: ${JSON.stringify(state)}`)
    }
    for (const what of comparedWith(this.#baseline, afterwards)) book.complain(what)
    book.close()
    return {
      seed,
      exchanges: book.exchanges,
      tookMs: performance.now() - startedMs,
      verdicts: book.verdicts,
      events: [...script.squall, ...script.storm].filter(({ kind }) => kind === 'event').length,
      baseline: this.#baseline,
      afterwards,
      complaints: book.complaints,
    }
  }

  get #all(): StormBackend[] {
    return Object.values(this.#backends)
  }

  #aside(reply: ProxyReply): boolean {
    if ('facts' in reply) for (const fact of reply.facts) this.#book.told(fact)
    else if ('noticed' in reply) this.#book.complain(reply.noticed)
    else return false
    return true
  }

  #yaml({ backends, slots, more }: Loaded): string {
    const changed = /^(\w+): (.*)$/.exec(more)
    const sections = { ...config, ...(changed ? { [changed[1]!]: changed[2]! } : {}) }
    const lines = Object.entries(sections).map(([name, value]) => `${name}: ${value}\n`)
    const rows = backends.map(
      (name) => `  - { name: ${name}, url: "${this.#backends[name].url}", slots: ${slots} }\n`,
    )
    return `${lines.join('')}backends:${rows.length === 0 ? ' []' : '\n'}${rows.join('')}\n`
  }

  async #play(steps: readonly Step[], count: number, isCalm: boolean): Promise<void> {
    const { port } = new URL(this.#url)
    let next = 0
    const happening: Promise<void>[] = []
    const one = async () => {
      const client = new StormClient(Number(port), (what) => this.#book.complain(what))
      while (next < steps.length) {
        const step = steps[next++]!
        if (step.kind === 'event')
          happening.push(
            this.#happen(step.event).catch((error) => this.#book.complain(String(error))),
          )
        else await this.#ask(client, step.errands, isCalm)
      }
      await client.close()
    }
    await Promise.all(Array.from({ length: count }, one))
    await Promise.all(happening)
  }

  async #ask(client: StormClient, errands: readonly Errand[], isCalm: boolean): Promise<void> {
    for (const each of await client.run(errands)) {
      const { errand, received, hasLeft } = each
      this.#book.write(each, judge(errand, received, { isCalm, hasLeft }))
    }
  }

  async #happen(event: StormEvent): Promise<void> {
    if (event.kind === 'reload') {
      await this.#reload(event)
      return
    }
    const backend = this.#backends[event.kind === 'lie' ? gated : event.backend]
    switch (event.kind) {
      case 'kill':
        return await backend.kill()
      case 'start':
        return await backend.start()
      case 'freeze':
        return await backend.freeze()
      case 'thaw':
        return await backend.thaw()
      default:
        // It may be killed before it answers.
        await backend.tell(event).catch(() => {})
    }
  }

  async #reload(event: Loaded): Promise<void> {
    const reply = await this.#proxy.tell({ kind: 'reload', yaml: this.#yaml(event) })
    const isWrong = event.more.includes('-1')
    if ('reloaded' in reply && isWrong !== (reply.reloaded === 'refused'))
      this.#book.complain(`a reload with "${event.more}" was ${reply.reloaded}`)
  }

  async #everybodyBack(): Promise<void> {
    await Promise.all(this.#all.map((each) => each.behave()))
    await this.#reload(usual)
    await until(
      async () => (await this.#status()).active_backends === backendNames.length,
      30_000,
      'every backend is ready and admits',
    )
  }

  async #status(): Promise<{ active_backends: number }> {
    const answer = await fetch(`${this.#url}/queue-status`, { headers: { connection: 'close' } })
    return (await answer.json()) as { active_backends: number }
  }

  /** The memory with all that was learned; the sockets when there is nobody left to be connected to. */
  async #measured(): Promise<Baseline> {
    const full = await this.#measure()
    await this.#reload({ ...usual, backends: [] })
    let empty = await this.#measure()
    await until(async () => {
      empty = await this.#measure()
      return (empty.resources['TCPSocketWrap'] ?? 0) === 0
    }, 5_000).catch(() => {})
    await this.#reload(usual)
    return { full, empty }
  }

  async #measure(): Promise<Measured> {
    const reply = await this.#proxy.tell({ kind: 'measure' })
    if (!('measured' in reply)) throw new Error(`measured: ${JSON.stringify(reply)}`)
    return reply.measured
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#proxy.kill(), ...this.#all.map((each) => each.end())])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
