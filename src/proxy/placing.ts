import type { Ask } from '../core/ask.ts'
import type { Clock } from '../core/clock.ts'
import { Failure } from '../core/failure.ts'
import { readModelName } from '../core/model-name.ts'
import type { Substitute } from '../core/observer.ts'
import { isDeath, type Outcome } from '../core/outcome.ts'
import type { PlacementSettings, Settings } from '../core/settings.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Pool } from '../pool/pool.ts'
import type { Affinity, Sending } from '../routing/affinity/affinity.ts'
import { barOf } from '../routing/filters.ts'
import { Contexts } from '../routing/rules/contexts.ts'
import { Names } from '../routing/rules/names.ts'
import type { Placement } from '../routing/rules/placement.ts'
import { RuleBook } from '../routing/rules/rule-book.ts'
import type { Exchange } from './exchange.ts'

/** Bytes of text that make a token, for rules that speak of a prompt's size; English prose has a little over four. */
const bytesPerToken = 4

/** A server that took this long to find its runner has loaded it anew, and we did not: nothing was cached. */
const loadNsMin = 1e9

export interface PlacingDoors {
  readonly affinity: Affinity
  readonly settings: Pick<Settings, 'placement'>
  readonly pool: Pool
  readonly clock: Clock
}

/** What the operator says of an exchange: which model answers it, and where it may go; and where it went. */
export class Placing {
  readonly #doors: PlacingDoors
  #madeOf: PlacementSettings | undefined
  #book = new RuleBook([])
  #names = new Names({ aliases: {}, fallbacks: {} })
  readonly #contexts = new Contexts()

  constructor(doors: PlacingDoors) {
    this.#doors = doors
  }

  /** Before anything else is done with it. Throws a Failure where an alias can not be put in its model's place. */
  place(exchange: Exchange): void {
    this.#renew()
    const { ask } = exchange.asked
    // What changes the fleet means what it says.
    if (!ask.repeatable) return
    const meant = this.#names.meantBy(ask.name.canonical)
    if (meant !== undefined) this.#answerAs(exchange, meant, 'alias')
    if (this.#book.isEmpty) return
    const first = this.#read(exchange)
    exchange.rules = first
    const other = first.useModel
    const mayBeAnother = ask.purpose === 'infer' && ask.op !== 'show' && !exchange.asked.isPart
    if (other !== undefined && mayBeAnother) {
      this.#answerAs(exchange, this.#names.modelOf(other), 'rule')
      exchange.modelRule = first.saidOfModel
      exchange.rules = this.#read(exchange)
    }
    const { priority } = first
    const { asked } = exchange
    if (priority !== undefined && asked.priority === 'normal' && !asked.isPriorityChosen)
      exchange.asked = { ...asked, priority }
  }

  /** Another model stands in for one that nobody can serve; false: there is none that anybody could. */
  standIn(exchange: Exchange): boolean {
    this.#renew()
    const before = { asked: exchange.asked, rules: exchange.rules, substitute: exchange.substitute }
    const { ask, isPart, pinned } = before.asked
    if (isPart || pinned !== undefined || ask.purpose !== 'infer' || !canRename(exchange))
      return false
    // Of the one that was wanted first: a stand-in has none of its own.
    if (before.substitute?.why === 'fallback') return false
    for (const other of this.#names.standInsFor(ask.name.canonical)) {
      this.#answerAs(exchange, this.#names.modelOf(other), 'fallback')
      if (!this.#book.isEmpty) exchange.rules = this.#read(exchange)
      if (this.#isServed(exchange)) return true
      Object.assign(exchange, before)
    }
    return false
  }

  /** It goes out to this endpoint now. Undefined: there is nothing to remember. */
  sent(exchange: Exchange, endpoint: string): Sending | undefined {
    const { prompt } = exchange
    if (prompt === undefined || exchange.asked.ask.name.cloud) return undefined
    const { affinity, clock } = this.#doors
    return affinity.sent(endpoint, prompt.model, prompt, clock.now())
  }

  /** That is how it went there. */
  ended(exchange: Exchange, endpoint: Endpoint, sending: Sending, outcome: Outcome): void {
    const { affinity, clock } = this.#doors
    const isNew = (exchange.figures?.loadNs ?? 0) > loadNsMin
    if (isDeath(outcome)) return affinity.ended(sending)
    const reading = isNew ? affinity.restarted(sending) : sending
    if (outcome.kind === 'answered' || exchange.firstByteMs !== undefined)
      affinity.read(reading, exchange.figures, clock.now())
    // What was cached is not counted by older servers, which would look like a prompt that was cut.
    if (outcome.kind === 'answered' && sending.expected.kind === 'nothing')
      this.#learnContext(exchange, endpoint, sending.home.model)
  }

  /** Under this name there may be another machine from now on. */
  forget(endpoint: string): void {
    this.#doors.affinity.forgetEndpoint(endpoint)
  }

  /** Only where the server does not say it, and the request does not set it. */
  #learnContext({ asked, figures }: Exchange, endpoint: Endpoint, model: string): void {
    const { textBytes, runner } = asked.ask
    if (!figures || runner['num_ctx'] !== undefined || !isOneText(asked.ask)) return
    if (endpoint.contextTold(model) !== undefined) return
    const { promptTokens } = figures
    const knownTokens = endpoint.contextLoaded(model)
    const tokens = this.#contexts.learn({ model, textBytes, promptTokens, knownTokens })
    if (tokens !== undefined) endpoint.learnContext(model, tokens)
  }

  #answerAs(exchange: Exchange, text: string, why: Substitute['why']): void {
    const name = readModelName(text)
    const { canonical } = exchange.asked.ask.name
    if (!name || name.canonical === canonical) return
    if (!canRename(exchange))
      throw new Failure(
        'request_invalid',
        `"${canonical}" stands for ${text}, which can not be put into a packed body or a form: name it yourself`,
      )
    exchange.answerAs({ text, name }, why)
  }

  #read(exchange: Exchange): Placement {
    const { ask, tenant, work, labels } = exchange.asked
    return this.#book.placementOf({
      tenant,
      model: ask.name.canonical,
      askedModel: exchange.substitute?.asked ?? ask.name.canonical,
      work: work === '' ? ask.op : work,
      labels,
      promptTokens: Math.ceil(ask.textBytes / bytesPerToken),
      needs: ask.needs,
    })
  }

  #isServed(exchange: Exchange): boolean {
    const { pool } = this.#doors
    const model = exchange.asked.ask.name.canonical
    const need = exchange.need(pool.servingDigest(model), bytesPerToken)
    return pool.endpoints.some(
      (endpoint) => barOf(endpoint, endpoint.model(model), need) === undefined,
    )
  }

  /** Made anew when a reload has exchanged the settings. */
  #renew(): void {
    const { placement } = this.#doors.settings
    if (placement === this.#madeOf) return
    this.#madeOf = placement
    this.#book = new RuleBook(placement.rules)
    this.#names = new Names(placement)
  }
}

/** Whether the tokens that a server counts are those of its text, and of one prompt. */
function isOneText({ op, needs, prefix }: Ask): boolean {
  const hasMore = needs.includes('vision') || needs.includes('audio') || needs.includes('tools')
  return op !== 'embed' && !hasMore && prefix?.context === undefined
}

/** Whether it is known where its model stands; a request without a body has it in its path. */
function canRename({ asked: { ask, body } }: Exchange): boolean {
  return ask.modelAt !== undefined || body.size === 0
}
