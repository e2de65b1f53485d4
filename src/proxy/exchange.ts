import type { Ask } from '../core/ask.ts'
import type { Figures } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Rostered } from '../core/roster.ts'
import type { Priority } from '../routing/line.ts'
import type { Need } from '../routing/need.ts'
import type { HeldBody } from './body.ts'
import type { ClientSide } from './client-side.ts'

/** What a client asked, in the form in which it goes on. */
export interface Asked {
  readonly id: string
  readonly ask: Ask
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly rawHeaders: readonly string[]
  readonly body: HeldBody
  readonly tenant: string
  readonly priority: Priority
  readonly labels: readonly string[]
  /** The kind of work that the client named for the capability picker. */
  readonly work: string
  /** The one endpoint that will do; undefined: any. */
  readonly pinned: string | undefined
  /** On the clock's `now`; undefined: no limit. */
  readonly deadlineMs: number | undefined
  readonly arrivedMs: number
}

/** Who ended an exchange before its answer did: the client by leaving, its deadline, or the stop of the proxy. */
type EndedBy = 'client' | 'deadline' | 'stop'

/** One client request and its answer: what was asked, what happened so far, and one signal that ends it all. */
export class Exchange implements Rostered {
  readonly asked: Asked
  readonly client: ClientSide
  readonly attempts: { backend: string; outcome: Outcome }[] = []
  #tried: Set<string> | undefined
  /** Among those that run. */
  place = -1
  /** Runners that died under it. */
  deaths = 0
  waitMs = 0
  firstByteMs: number | undefined
  /** When it got its last seat, on the clock's `now`. */
  seatedMs: number | undefined
  figures: Figures | undefined
  /** The endpoint of the current or the last attempt. */
  backend = ''
  #endedBy: EndedBy | undefined
  #enders: (() => void)[] | undefined

  constructor(asked: Asked, client: ClientSide) {
    this.asked = asked
    this.client = client
    client.onLeft(() => this.#end('client'))
  }

  /** Undefined while somebody still wants the answer. */
  get endedBy(): EndedBy | undefined {
    return this.#endedBy
  }

  /** The deadline has passed. */
  expire(): void {
    this.#end('deadline')
  }

  /** The proxy has been told to stop, and waits no longer. */
  stop(): void {
    this.#end('stop')
  }

  /** Calls back when the exchange is over from the client's side; disposing the handle forgets the callback. */
  onEnd(act: () => void): Disposable {
    if (this.#endedBy) act()
    else {
      this.#enders ??= []
      this.#enders.push(act)
    }
    return new Ender(this, act)
  }

  /** For the handle. */
  forget(act: () => void): void {
    const at = this.#enders?.indexOf(act) ?? -1
    if (at >= 0) this.#enders!.splice(at, 1)
  }

  /** Endpoints that have failed it already. */
  get tried(): ReadonlySet<string> {
    return this.#tried ?? nobody
  }

  hasTried({ name }: { readonly name: string }): void {
    this.#tried ??= new Set()
    this.#tried.add(name)
  }

  need(digest: string | undefined, bytesPerToken: number): Need {
    const { ask, labels, work, pinned } = this.asked
    return {
      model: ask.name.canonical,
      cloud: ask.name.cloud,
      capabilities: ask.needs,
      labels,
      promptTokens: ask.runner['num_ctx'] ? 0 : Math.ceil(ask.textBytes / bytesPerToken),
      digest,
      seat: ask.purpose === 'infer' && !ask.name.cloud && takesSeat.has(ask.op),
      work: work === '' ? ask.op : work,
      pinned,
      not: this.tried,
    }
  }

  #end(by: EndedBy): void {
    if (this.#endedBy) return
    this.#endedBy = by
    const enders = this.#enders ?? []
    this.#enders = undefined
    for (const act of enders) act()
  }
}

class Ender implements Disposable {
  readonly #exchange: Exchange
  readonly #act: () => void

  constructor(exchange: Exchange, act: () => void) {
    this.#exchange = exchange
    this.#act = act
  }

  [Symbol.dispose](): void {
    this.#exchange.forget(this.#act)
  }
}

const nobody: ReadonlySet<string> = new Set()

/** Everything else is answered beside a running model, or before there is one. */
const takesSeat: ReadonlySet<string> = new Set([
  'generate',
  'chat',
  'embed',
  'responses',
  'transcribe',
])
