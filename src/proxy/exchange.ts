import type { Ask } from '../core/ask.ts'
import type { ModelName } from '../core/model-name.ts'
import type { Continued, Figures, Substitute } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Rostered } from '../core/roster.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Losses } from '../pool/losses.ts'
import { Prompt } from '../routing/affinity/prompt.ts'
import type { RequestSize } from '../routing/costs/sample.ts'
import type { Priority } from '../routing/line.ts'
import type { Need } from '../routing/need.ts'
import type { Placement } from '../routing/rules/placement.ts'
import type { Progress } from '../routing/running.ts'
import type { Answer } from './answer.ts'
import type { HeldBody } from './body.ts'
import type { ClientSide } from './client-side.ts'
import type { Gaps } from './continuing/gaps.ts'
import { EchoingClient } from './echoing-client.ts'
import type { GoingOn } from './go-on.ts'
import { runnerKey } from './loads.ts'
import { RenamedBody } from './renamed-body.ts'

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
  /** What the client calls its conversation, where it says so. */
  readonly session?: string | undefined
  readonly priority: Priority
  /** Its client chose it; an operator's rule is for those who chose none. */
  readonly isPriorityChosen?: boolean
  readonly labels: readonly string[]
  /** It is a part of something larger, whose parts must all be answered by one model. */
  readonly isPart?: boolean
  /** It is a question of the proxy's own: however full the line is, it may stand in it. */
  readonly isOurs?: boolean
  /** The kind of work that the client named for the capability picker. */
  readonly work: string
  /** The one endpoint that will do; undefined: any. */
  readonly pinned: string | undefined
  /** On the clock's `now`; undefined: no limit. */
  readonly deadlineMs: number | undefined
  readonly arrivedMs: number
}

/** A try at one endpoint, as those see it who look after what is under way. */
export interface AttemptUnderWay {
  readonly endpoint: Endpoint
  /** The rhythm of a stream that another backend could go on with; undefined for everything else. */
  readonly gaps: Gaps | undefined
  /** The client reads slowly, and the backend waits for it. */
  readonly paused: boolean
  /** Ends it like this, unless it has just ended by itself. */
  end(outcome: Outcome): void
}

interface Death {
  /** Of the endpoint; undefined: the server lives and said that its runner died. */
  readonly losses: Losses | undefined
  readonly atMs: number
}

/** Who ended an exchange before its answer did: the client by leaving, its deadline, or the stop of the proxy. */
type EndedBy = 'client' | 'deadline' | 'stop'

/** One client request and its answer: what was asked, what happened so far, and one signal that ends it all. */
export class Exchange implements Rostered, Progress {
  /** Exchanged as a whole where another model answers. */
  asked: Asked
  client: ClientSide
  readonly attempts: { backend: string; outcome: Outcome }[] = []
  /** The one under way. */
  attempt: AttemptUnderWay | undefined
  /** What the client gets; set as soon as it is served. */
  answer: Answer | undefined
  /** Later legs of the answer; undefined: there is none. */
  continued: Continued[] | undefined
  /** The operator's words were read for it. */
  isPlaced = false
  /** Another model answers than the one that was named; undefined: that one does. */
  substitute: Substitute | undefined
  /** What the operator's rules say of it; undefined: nothing. */
  rules: Placement | undefined
  /** The rule that had another model answer, in words; undefined: none did. */
  modelRule: string | undefined
  /** Takes the answer over from a backend that broke off, or that is drained. */
  goingOn: GoingOn | undefined
  /** It gave its seat to a person in the middle of its answer. */
  gaveWay = false
  /** It has been made ready for its backend's death, as far as that can be done. */
  isExpected = false
  #tried: Set<string> | undefined
  /** Among those that run. */
  place = -1
  #deaths: Death[] | undefined
  waitMs = 0
  firstByteMs: number | undefined
  /** When it got its last seat, on the clock's `now`. */
  seatedMs: number | undefined
  figures: Figures | undefined
  /** The endpoint of the current or the last attempt. */
  backend = ''
  #prompt: Prompt | undefined
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

  /** A runner died under it there: a connection was lost, or the server said so. */
  died({ losses, now }: Endpoint, outcome: Outcome): void {
    this.#deaths ??= []
    const isLoss = outcome.kind === 'brokeOff'
    if (isLoss) losses.add(now)
    this.#deaths.push({ losses: isLoss ? losses : undefined, atMs: now })
  }

  /** Those for which it may be to blame: where others were lost in the same moment the host went, for all of them. */
  get deaths(): number {
    if (!this.#deaths) return 0
    return this.#deaths.filter(({ losses, atMs }) => !losses?.inCompany(atMs)).length
  }

  /** This model answers from now on. Of an alias the client hears nothing but the name that it used. */
  answerAs(
    model: { readonly text: string; readonly name: ModelName },
    why: Substitute['why'],
  ): void {
    const { ask, body, path, method } = this.asked
    const { text, name } = model
    const json = Buffer.from(JSON.stringify(text))
    const { modelAt } = ask
    const at = modelAt && { from: modelAt.from, to: modelAt.from + json.length }
    this.asked = {
      ...this.asked,
      ask: { ...ask, modelText: text, name, modelAt: at },
      body: modelAt ? new RenamedBody(body, modelAt, json) : body,
      path: method === 'GET' ? path.replace(/[^/]*$/, encodeURIComponent(text)) : path,
    }
    if (why === 'alias') {
      const key = ask.op === 'show' ? 'id' : 'model'
      this.client = new EchoingClient(this.client, { key, said: text, asked: ask.modelText })
    }
    this.substitute = { asked: this.substitute?.asked ?? ask.name.canonical, why }
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
      promptTokens: hasOnePrompt(ask) ? Math.ceil(ask.textBytes / bytesPerToken) : 0,
      digest,
      seat: ask.purpose === 'infer' && !ask.name.cloud && takesSeat.has(ask.op),
      work: work === '' ? ask.op : work,
      pinned,
      runner: runnerKey(ask),
      not: this.tried,
      prompt: this.prompt,
      rules: this.rules,
    }
  }

  /** For expecting what it will take. */
  get size(): RequestSize {
    const { ask, tenant } = this.asked
    return {
      model: ask.name.canonical,
      op: ask.op,
      tenant,
      textBytes: ask.textBytes,
      outTokensMax: ask.outTokensMax,
    }
  }

  /** When the client had the first piece of its answer, on the clock's `now`. */
  get firstTokenAtMs(): number | undefined {
    return this.firstByteMs === undefined ? undefined : this.asked.arrivedMs + this.firstByteMs
  }

  /** Pieces of its answer that were heard. */
  get pieces(): number {
    return this.answer?.gaps?.tokens ?? 0
  }

  /** How its prompt begins, for finding who has that in memory; undefined where nobody looks for it. */
  get prompt(): Prompt | undefined {
    const { ask, session } = this.asked
    if (ask.prefix === undefined) return undefined
    const model = ask.name.canonical
    if (this.#prompt?.model !== model)
      this.#prompt = new Prompt(ask.prefix, { model, runner: runnerKey(ask), session })
    return this.#prompt
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

/** Whether a context must hold all of its text. Each input to embed stands alone; a request that sets one has it. */
const hasOnePrompt = ({ op, runner }: Ask) => op !== 'embed' && !runner['num_ctx']

/** Everything else is answered beside a running model, or before there is one. */
const takesSeat: ReadonlySet<string> = new Set([
  'generate',
  'chat',
  'embed',
  'responses',
  'transcribe',
])
