import type { Ask } from '../core/ask.ts'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { RunnerKey } from '../core/runner-options.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import { type Asked, LoadAsks } from './load-asks.ts'

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

/** One request of our own to a backend. `onEnd` calls back what ends it early. */
export type SendOwn = (
  endpoint: Endpoint,
  path: string,
  body: string,
  onEnd?: (end: () => void) => Disposable,
) => Promise<{ outcome: Outcome; answer: HeldAnswer | undefined }>

/** Who looks after memory: makes room before a load, hears of it, and says when it has hung for too long. */
export interface LoadKeeper {
  began(endpoint: Endpoint, model: string): void
  /** Ends when there is room, when nobody wants the load any more, or when no room can be made. */
  makeRoom(
    endpoint: Endpoint,
    load: { readonly model: string; readonly runner: RunnerKey },
    isWanted: () => boolean,
  ): Promise<void>
  ended(endpoint: Endpoint, model: string, tookMs: number, outcome: Outcome): void
  /** After so long without an answer the load is asked for again. */
  againMs(endpoint: Endpoint, model: string): number
  /** After so long it is worth asking whether a load hangs. */
  patienceMs(endpoint: Endpoint, model: string): number
  /** It does, and somebody else can do better: it is given up. */
  hasHung(endpoint: Endpoint, model: string): boolean
}

/** What a load of the proxy's own accord asks for. */
export type LoadWish = Pick<Ask, 'name' | 'modelText' | 'op' | 'runner' | 'keepAlive'>

/** Loads of one endpoint, one after the other. */
interface Line {
  end: Promise<unknown>
  readonly loads: Map<string, Load>
  /** Of the load that goes on. */
  now: { readonly key: string; readonly asks: LoadAsks } | undefined
}

interface Load {
  readonly key: string
  readonly model: string
  readonly result: Promise<LoadResult>
  /** Exchanges that still wait for it. */
  wanted: number
  /** The proxy wants it of its own accord, whoever waits. */
  isOurs: boolean
}

/**
 * The proxy owns model loads. Ollama gives up a load when the client that caused it leaves, and every retry begins
 * anew; so the load is a request of ours, one at a time for each backend, and clients only wait for it.
 */
export class Loads {
  readonly #send: SendOwn
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #keeper: LoadKeeper | undefined
  readonly #byEndpoint = new Map<Endpoint, Line>()
  readonly #gone = new WeakSet<Endpoint>()

  constructor(send: SendOwn, clock: Clock, observer: Observer, keeper?: LoadKeeper) {
    this.#send = send
    this.#clock = clock
    this.#observer = observer
    this.#keeper = keeper
  }

  /** Loads going on or waiting at this endpoint. */
  underWay(endpoint: Endpoint): number {
    return this.#byEndpoint.get(endpoint)?.loads.size ?? 0
  }

  /** The load that goes on there takes longer than any was expected to; those behind it wait for that one as well. */
  isOverdue(endpoint: Endpoint): boolean {
    return this.#byEndpoint.get(endpoint)?.now?.asks.isOverdue === true
  }

  /** Undefined when the model is there already as this request wants it; nothing is waited for then. */
  needed(endpoint: Endpoint, ask: Pick<Ask, 'name' | 'runner'>): boolean {
    const model = ask.name.canonical
    const wanted = runnerKey(ask)
    if (this.#byEndpoint.get(endpoint)?.loads.has(`${model} ${wanted}`)) return true
    if (!endpoint.residentAs(model)) return true
    const runs = endpoint.runsAs(model, wanted)
    // Of what nobody told a request without options of its own takes any; with some it is made sure of.
    return runs === 'other' || (runs === 'unknown' && wanted !== '')
  }

  /** Exchanges that hold a seat for this model there and wait for a load of it: nothing of theirs runs yet. */
  waitingFor(endpoint: Endpoint, model: string): number {
    let count = 0
    for (const load of this.#byEndpoint.get(endpoint)?.loads.values() ?? [])
      if (load.model === model) count += load.wanted
    return count
  }

  /** Joins the load of this model with these options, or begins it. `leave` says that one less waits for it. */
  join(endpoint: Endpoint, ask: LoadWish): { result: Promise<LoadResult>; leave: () => void } {
    const load = this.#loadOf(endpoint, ask)
    load.wanted++
    return {
      result: load.result,
      leave: () => {
        load.wanted--
        if (this.#gone.has(endpoint)) this.#endUnwanted(endpoint)
      },
    }
  }

  /** The same of the proxy's own accord: it is loaded though no exchange waits for it. */
  wish(endpoint: Endpoint, ask: LoadWish): Promise<LoadResult> {
    const load = this.#loadOf(endpoint, ask)
    load.isOurs = !this.#gone.has(endpoint)
    return load.result
  }

  /**
   * Its server was taken out. A load is finished whoever leaves because somebody will want it; there nobody will, so
   * it ends with the last who waits for it.
   */
  leftBehind(endpoint: Endpoint): void {
    this.#gone.add(endpoint)
    for (const load of this.#byEndpoint.get(endpoint)?.loads.values() ?? []) load.isOurs = false
    this.#endUnwanted(endpoint)
  }

  #endUnwanted(endpoint: Endpoint): void {
    const line = this.#byEndpoint.get(endpoint)
    if (line?.now && !isWanted(line.loads.get(line.now.key))) line.now.asks.end(unwanted)
  }

  #loadOf(endpoint: Endpoint, ask: LoadWish): Load {
    const line: Line = this.#byEndpoint.get(endpoint) ?? {
      end: Promise.resolve(),
      loads: new Map(),
      now: undefined,
    }
    this.#byEndpoint.set(endpoint, line)
    const key = `${ask.name.canonical} ${runnerKey(ask)}`
    const before = line.loads.get(key)
    if (before) return before
    const result = line.end.then(() => this.#load(endpoint, ask, key))
    line.end = result.catch(() => {})
    const load = { key, model: ask.name.canonical, result, wanted: 0, isOurs: false }
    line.loads.set(key, load)
    return load
  }

  async #load(endpoint: Endpoint, ask: LoadWish, key: string): Promise<LoadResult> {
    const line = this.#byEndpoint.get(endpoint)
    const wanted = () => isWanted(line?.loads.get(key))
    try {
      // A load that runs is finished whoever leaves; one that nobody waits for any more need not begin.
      if (!wanted()) return nobody
      const model = ask.name.canonical
      this.#keeper?.began(endpoint, model)
      let told = false
      try {
        const load = { model, runner: runnerKey(ask) }
        await this.#keeper?.makeRoom(endpoint, load, wanted)
        // Those who left did so while room was made, and there may be none.
        if (!wanted()) return nobody
        const sent = await this.#loadNow(endpoint, ask, key)
        told = true
        return this.#tell(endpoint, ask, sent, wanted)
      } finally {
        // Or nothing else would ever be loaded there.
        if (!told) this.#keeper?.ended(endpoint, model, 0, { kind: 'clientLeft' })
      }
    } finally {
      line?.loads.delete(key)
      if (line?.loads.size === 0) this.#byEndpoint.delete(endpoint)
    }
  }

  async #loadNow(endpoint: Endpoint, ask: LoadWish, key: string): Promise<Sent> {
    const model = ask.name.canonical
    const startedMs = this.#clock.now()
    const embeds = endpoint.model(model)?.embeddingOnly ?? ask.op === 'embed'
    const [path, body] = [embeds ? '/api/embed' : '/api/generate', loadBody(ask, embeds)]
    const asks = new LoadAsks({
      clock: this.#clock,
      ask: (onEnd) => this.#send(endpoint, path, body, onEnd),
      againMs: this.#keeper?.againMs(endpoint, model),
      isThere: () => endpoint.ready,
    })
    const line = this.#byEndpoint.get(endpoint)
    if (line) line.now = { key, asks }
    const watch = this.#watch(endpoint, model, () => asks.end(hung))
    try {
      return { ...(await asks.result), tookMs: this.#clock.now() - startedMs }
    } finally {
      watch[Symbol.dispose]()
      if (line) line.now = undefined
    }
  }

  #tell(
    endpoint: Endpoint,
    ask: LoadWish,
    { outcome, answer, tookMs }: Sent,
    wanted: () => boolean,
  ): LoadResult {
    const model = ask.name.canonical
    this.#keeper?.ended(endpoint, model, tookMs, outcome)
    if (outcome.kind === 'clientLeft') return { kind: 'failed', outcome, answer }
    if (outcome.kind !== 'answered') {
      this.#observer.loaded(endpoint.name, model, 'error', tookMs)
      return { kind: 'failed', outcome, answer }
    }
    this.#observer.loaded(endpoint.name, model, wanted() ? 'ok' : 'rescued', tookMs)
    endpoint.learnLoaded(model, runnerKey(ask))
    return { kind: 'loaded' }
  }

  /** A load may take as long as it takes; one that hangs while others could serve is ended. */
  #watch(endpoint: Endpoint, model: string, end: () => void): Disposable {
    const keeper = this.#keeper
    let timer: Disposable | undefined
    const wait = () => {
      if (!keeper) return
      timer = this.#clock.after(keeper.patienceMs(endpoint, model), () => {
        if (keeper.hasHung(endpoint, model)) end()
        else wait()
      })
    }
    wait()
    return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() }
  }
}

const nobody: LoadResult = { kind: 'failed', outcome: { kind: 'clientLeft' }, answer: undefined }

function isWanted(load: Load | undefined): boolean {
  return load !== undefined && (load.wanted > 0 || load.isOurs)
}

type Sent = Asked & { readonly tookMs: number }

const unwanted: Asked = { outcome: { kind: 'clientLeft' }, answer: undefined }

const hung: Asked = {
  outcome: { kind: 'refused', status: 503, why: 'loadsHang', text: 'its loads hang' },
  answer: undefined,
}

/** The options that make a runner, as one text. */
export function runnerKey({ runner }: Pick<Ask, 'runner'>): RunnerKey {
  const options = Object.entries(runner)
  if (options.length === 0) return ''
  return options
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ')
}

/** The client's own texts for options and keep_alive, so that Ollama makes the very runner that the request needs. */
function loadBody(ask: LoadWish, embeds: boolean): string {
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
