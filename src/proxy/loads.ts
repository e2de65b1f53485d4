import type { Ask } from '../core/ask.ts'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Endpoint } from '../pool/endpoint.ts'

/** What came of a load: nothing to add, or how it failed, with the backend's own answer where it gave one. */
export type LoadResult =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'failed'; readonly outcome: Outcome; readonly answer: HeldAnswer | undefined }

/** A backend's answer that was read whole: an error, or the answer to a question of ours. */
export interface HeldAnswer {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/** One request of our own to a backend. */
export type SendOwn = (
  endpoint: Endpoint,
  path: string,
  body: string,
) => Promise<{ outcome: Outcome; answer: HeldAnswer | undefined }>

interface Load {
  readonly key: string
  readonly result: Promise<LoadResult>
  /** Exchanges that still wait for it. */
  wanted: number
}

/**
 * The proxy owns model loads. Ollama gives up a load when the client that caused it leaves, and every retry begins
 * anew; so the load is a request of ours, one at a time for each backend, and clients only wait for it.
 */
export class Loads {
  readonly #send: SendOwn
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #byEndpoint = new Map<Endpoint, { line: Promise<unknown>; loads: Map<string, Load> }>()
  /** Runner options of the last load that went through us, by endpoint and model. */
  readonly #loadedWith = new WeakMap<Endpoint, Map<string, string>>()

  constructor(send: SendOwn, clock: Clock, observer: Observer) {
    this.#send = send
    this.#clock = clock
    this.#observer = observer
  }

  /** Loads going on or waiting at this endpoint. */
  underWay(endpoint: Endpoint): number {
    return this.#byEndpoint.get(endpoint)?.loads.size ?? 0
  }

  /** Undefined when the model is there already as this request wants it; nothing is waited for then. */
  needed(endpoint: Endpoint, ask: Pick<Ask, 'name' | 'runner'>): boolean {
    const model = ask.name.canonical
    const wanted = runnerKey(ask)
    if (this.#byEndpoint.get(endpoint)?.loads.has(`${model} ${wanted}`)) return true
    if (!endpoint.residentAs(model)) return true
    const last = this.#loadedWith.get(endpoint)?.get(model)
    if (last !== undefined) return last !== wanted
    if (wanted === '') return false
    // Somebody else loaded it; as far as we see it is the same runner when only the context is named and equal.
    const numCtx = Number(ask.runner['num_ctx'])
    return Object.keys(ask.runner).length !== 1 || endpoint.contextLoaded(model) !== numCtx
  }

  /** Joins the load of this model with these options, or begins it. `leave` says that one less waits for it. */
  join(endpoint: Endpoint, ask: Ask): { result: Promise<LoadResult>; leave: () => void } {
    const ofEndpoint = this.#byEndpoint.get(endpoint) ?? {
      line: Promise.resolve(),
      loads: new Map(),
    }
    this.#byEndpoint.set(endpoint, ofEndpoint)
    const key = `${ask.name.canonical} ${runnerKey(ask)}`
    let load = ofEndpoint.loads.get(key)
    if (!load) {
      const result = ofEndpoint.line.then(() => this.#load(endpoint, ask, key))
      ofEndpoint.line = result.catch(() => {})
      load = { key, result, wanted: 0 }
      ofEndpoint.loads.set(key, load)
    }
    const joined = load
    joined.wanted++
    return {
      result: joined.result,
      leave: () => {
        joined.wanted--
      },
    }
  }

  async #load(endpoint: Endpoint, ask: Ask, key: string): Promise<LoadResult> {
    const ofEndpoint = this.#byEndpoint.get(endpoint)
    const wanted = () => ofEndpoint?.loads.get(key)?.wanted ?? 0
    try {
      // A load that runs is finished whoever leaves; one that nobody waits for any more need not begin.
      if (wanted() === 0)
        return { kind: 'failed', outcome: { kind: 'clientLeft' }, answer: undefined }
      return await this.#loadNow(endpoint, ask, wanted)
    } finally {
      ofEndpoint?.loads.delete(key)
      if (ofEndpoint?.loads.size === 0) this.#byEndpoint.delete(endpoint)
    }
  }

  async #loadNow(endpoint: Endpoint, ask: Ask, wanted: () => number): Promise<LoadResult> {
    const model = ask.name.canonical
    const startedMs = this.#clock.now()
    const embeds = endpoint.model(model)?.embeddingOnly ?? ask.op === 'embed'
    const { outcome, answer } = await this.#send(
      endpoint,
      embeds ? '/api/embed' : '/api/generate',
      loadBody(ask, embeds),
    )
    const tookMs = this.#clock.now() - startedMs
    if (outcome.kind !== 'answered') {
      this.#observer.loaded(endpoint.name, model, 'error', tookMs)
      return { kind: 'failed', outcome, answer }
    }
    this.#observer.loaded(endpoint.name, model, wanted() === 0 ? 'rescued' : 'ok', tookMs)
    endpoint.learnLoaded(model)
    const loadedWith = this.#loadedWith.get(endpoint) ?? new Map<string, string>()
    loadedWith.set(model, runnerKey(ask))
    this.#loadedWith.set(endpoint, loadedWith)
    return { kind: 'loaded' }
  }
}

function runnerKey(ask: Pick<Ask, 'runner'>): string {
  return Object.entries(ask.runner)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ')
}

/** The client's own texts for options and keep_alive, so that Ollama makes the very runner that the request needs. */
function loadBody(ask: Ask, embeds: boolean): string {
  const { shift, ...options } = ask.runner
  const fields = [
    `"model":${JSON.stringify(ask.modelText)}`,
    embeds ? '"input":[]' : '"stream":false',
  ]
  const pairs = Object.entries(options).map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  if (pairs.length > 0) fields.push(`"options":{${pairs.join(',')}}`)
  if (shift !== undefined && !embeds) fields.push(`"shift":${shift}`)
  // keep_alive 0 would unload what is being loaded for the request behind it.
  if (ask.keepAlive !== undefined && !isZero(ask.keepAlive))
    fields.push(`"keep_alive":${ask.keepAlive}`)
  return `{${fields.join(',')}}`
}

function isZero(rawKeepAlive: string): boolean {
  return /^"?0(\.0*)?(ns|us|µs|ms|s|m|h)?"?$/.test(rawKeepAlive.trim())
}
