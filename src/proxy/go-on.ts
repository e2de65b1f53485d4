import { Failure } from '../core/failure.ts'
import type { Continued } from '../core/observer.ts'
import { isDeath, isRace, type Outcome } from '../core/outcome.ts'
import {
  type Continuing,
  type Emitted,
  type NextRequest,
  nothingBefore,
} from '../dialects/continuing/continuing.ts'
import { continuingOf } from '../dialects/continuing/continuing-of.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import type { Pool } from '../pool/pool.ts'
import { contextAt } from '../routing/filters.ts'
import type { Answer } from './answer.ts'
import { askEndpoint } from './ask-backend.ts'
import { type AttemptDoors, runAttempt } from './attempt.ts'
import type { Conformance } from './continuing/conformance.ts'
import type { Way } from './continuing/manner.ts'
import { mayContinue, placeOf } from './continuing/may-continue.ts'
import { rendersOpen } from './continuing/measure.ts'
import { type RequestFacts, requestFacts } from './continuing/request-facts.ts'
import { seamFor } from './continuing/seam.ts'
import { type Trigger, triggerOf } from './continuing/triggers.ts'
import type { Exchange } from './exchange.ts'
import { LegAnswer } from './leg-answer.ts'
import { NobodyCan, NotWanted } from './queue.ts'
import type { WaitingRoom } from './waiting-room.ts'

export interface GoOnDoors extends AttemptDoors {
  readonly pool: Pool
  readonly queue: WaitingRoom
  readonly conformance: Conformance
  readonly continued: (fact: Continued) => void
}

/** What a later leg leaves to do: nothing, an honest end, the next way, or the next leg. */
type AfterLeg = 'whole' | 'stopped' | 'nextWay' | Trigger | undefined

/** A leg that says something else did its work and did not die, and still the client's answer ended where it was. */
const ofNoUse: Outcome = {
  kind: 'brokeOff',
  afterFirstByte: true,
  reusedSocket: false,
  clean: true,
  text: 'it does not say the same',
}

/** How long a rendering may take: the client waits for it. */
const renderMsMax = 5_000
const bytesPerToken = 4

/** A question of ours to the next backend got no answer: another one may go on. */
class NotThere extends Error {
  readonly outcome: Outcome

  constructor(outcome: Outcome) {
    super('it did not answer a question of ours')
    this.outcome = outcome
  }
}

/**
 * The rest of an answer whose backend broke off in the middle of it, from another one. The client has one answer, or
 * an honest end; what went wrong on the way stands in the exchange's attempts.
 */
export class GoingOn {
  readonly #exchange: Exchange
  readonly #answer: Answer
  readonly #doors: GoOnDoors
  /** Waits for the model where it must be loaded first; the outcome where that was the end of it. */
  readonly #load: (lease: Lease) => Promise<Outcome | undefined>
  readonly #continuing: Continuing
  readonly #facts: RequestFacts | undefined
  /** Of the weights that the client has half an answer of; undefined: nobody says. */
  readonly #digest: string | undefined
  /** Who said the last that the client has. */
  #from: string
  #laterLegs = 0
  /** When the client's answer last stood still, on the clock's `now`. */
  #brokeMs = 0
  /** Of those that the decision names for this place in the answer; also those that could not be asked for. */
  #waysTried = 0
  /** Taken while the answer still came from elsewhere. */
  #held: Lease | undefined
  /** It has not been tried to move or interrupt it, nor has it broken off. */
  #isMovable = true
  /** Why it ends here, for the client's one line of error. */
  #why = 'nobody else can go on with it'
  #code: 'answer_cut' | 'repeat_guard' = 'answer_cut'

  constructor(
    exchange: Exchange,
    answer: Answer,
    continuing: Continuing,
    load: (lease: Lease) => Promise<Outcome | undefined>,
    doors: GoOnDoors,
  ) {
    this.#exchange = exchange
    this.#answer = answer
    this.#continuing = continuing
    this.#load = load
    this.#doors = doors
    this.#from = exchange.backend
    // One that a reload has taken out is on no list any more.
    const endpoint = exchange.attempt?.endpoint ?? doors.pool.endpoint(exchange.backend)
    this.#digest = this.#digestAt(endpoint)
    const { bytes } = exchange.asked.body
    this.#facts = bytes && requestFacts(continuing.family, bytes)
  }

  /**
   * True: the client has the whole answer, or its error; false: it ended here, for the reason that `why` says. Throws
   * NotWanted where nobody waits for it any more.
   */
  async run(broke: Outcome): Promise<boolean> {
    let trigger = triggerOf(broke)
    this.#brokeMs = this.#doors.clock.now()
    this.#isMovable = false
    while (trigger) {
      if (this.#exchange.endedBy) throw new NotWanted()
      const frames = this.#answer.given
      if (!frames || !this.#facts) return this.#stop('more of it was sent than is kept')
      const emitted = this.#continuing.read([frames])
      const missing = this.#continuing.missing(this.#original, emitted)
      if (missing) {
        this.#answer.goOn(missing)
        this.#answer.endContinued()
        return true
      }
      const next = await this.#leg(emitted, trigger)
      if (next === 'whole' || next === 'stopped') return next === 'whole'
      if (next === 'nextWay') continue
      trigger = next
      this.#brokeMs = this.#doors.clock.now()
      this.#waysTried = 0
    }
    return this.#stop('its backend refused to go on')
  }

  /**
   * For an answer that still comes: true with a seat held at another backend, which is known to go on with such an
   * answer. Nobody waits for a seat; where none was free it can be asked again, and otherwise the answer is never moved.
   */
  async takeSeat(): Promise<boolean> {
    if (!this.#isMovable) return false
    // First, since reading what the client has takes far longer than finding that there is no room.
    const lease = this.#doors.queue.leaseNow(this.#exchange)
    if (!lease) return false
    this.#isMovable = false
    this.#held = lease
    let isTaken = false
    try {
      isTaken = this.#mayMoveTo(lease.endpoint) && (await this.#load(lease)) === undefined
      return isTaken
    } finally {
      if (!isTaken) this.giveBack()
    }
  }

  /**
   * For an answer that still comes from there: true where it can be cut and go on later, at the same backend or another
   * one that is known to go on with such an answer. Asked once; an answer is interrupted or moved no second time.
   */
  giveWay(endpoint: Endpoint): boolean {
    if (!this.#isMovable) return false
    this.#isMovable = false
    if (!this.#mayMoveTo(endpoint)) return false
    for (const other of this.#doors.pool.endpoints)
      if (!this.#isMeasured(other)) this.#exchange.hasTried(other)
    return true
  }

  #mayMoveTo(endpoint: Endpoint): boolean {
    const frames = this.#answer.given
    if (!frames || !this.#facts || this.#digest === undefined) return false
    if (this.#digestAt(endpoint) !== this.#digest || !this.#isMeasured(endpoint)) return false
    const decision = this.#decide(this.#continuing.read([frames]), { kind: 'drained' }, endpoint)
    // Asked again from the beginning it would take as long again, for nothing that was lost.
    return 'go' in decision && decision.go[0]?.method !== 'restart'
  }

  /** The seat is not needed: the answer has ended, or can not be moved. Nothing where it is in use already. */
  giveBack(): void {
    this.#held?.[Symbol.dispose]()
    this.#held = undefined
  }

  #isMeasured({ version }: Endpoint): boolean {
    return this.#doors.conformance.isKnown({ digest: this.#digest!, version })
  }

  get why(): string {
    return this.#why
  }

  get code(): 'answer_cut' | 'repeat_guard' {
    return this.#code
  }

  /** One later leg; a trigger when it broke off as well. */
  async #leg(emitted: Emitted, trigger: Trigger): Promise<AfterLeg> {
    const early = this.#decide(emitted, trigger, undefined)
    if ('stop' in early) return this.#stopped(early.stop, early.code)
    const lease = this.#held ?? (await this.#lease())
    this.#held = undefined
    if (!lease) return this.#stopped('no other backend can go on with it')
    try {
      const digest = this.#digestAt(lease.endpoint)
      // Which weights serve under a name can change while one waits.
      if (this.#digest !== undefined && digest !== undefined && digest !== this.#digest)
        return this.#stopped('the other backends have other weights under this name')
      const decision = this.#decide(emitted, trigger, lease.endpoint)
      if ('stop' in decision) return this.#stopped(decision.stop, decision.code)
      const stillborn = await this.#load(lease)
      if (stillborn) return this.#settled(lease, stillborn)
      for (const way of decision.go.slice(this.#waysTried)) {
        this.#waysTried++
        const request = await this.#requestFor(way, emitted, lease.endpoint)
        if (typeof request === 'string') {
          this.#why = request
          continue
        }
        return await this.#go(lease, way, request, emitted)
      }
      return this.#stopped(this.#why)
    } catch (error) {
      // Nobody has said that it can not go on; the one that was asked is not there.
      if (error instanceof NotThere) return this.#settled(lease, error.outcome)
      throw error
    } finally {
      lease[Symbol.dispose]()
    }
  }

  async #go(lease: Lease, way: Way, request: NextRequest, emitted: Emitted): Promise<AfterLeg> {
    const { asked } = this.#exchange
    const seam = seamFor(way, emitted)
    const to = lease.endpoint.name
    const begun = { from: this.#from, to, method: way.method }
    const told = this.#answer.explains ? this.#toldOf(begun) : undefined
    const leg = new LegAnswer(
      this.#answer,
      this.#continuing.leg(emitted, request, seam, nothingBefore, told),
      this.#doors.clock,
    )
    this.#exchange.backend = to
    const afterMs = this.#doors.clock.now() - this.#brokeMs
    const { path, body } = request
    const outcome = await runAttempt(this.#exchange, lease, leg, this.#doors, {
      method: 'POST',
      path,
      rawHeaders: asked.rawHeaders,
      body: { size: body.length, open: () => body },
    })
    const fact = { ...begun, result: leg.result, afterMs, askedWallMs: leg.askedWallMs }
    this.#doors.continued(fact)
    this.#exchange.continued ??= []
    this.#exchange.continued.push(fact)
    if (leg.gave) this.#from = to
    const isDiverged = leg.result === 'diverged'
    const next = this.#settled(lease, outcome, isDiverged ? ofNoUse : outcome)
    if (leg.result === 'whole') {
      this.#answer.endContinued()
      return 'whole'
    }
    if (leg.error) {
      this.#answer.goOn(leg.error.frames)
      this.#answer.endContinued(new Failure('upstream_failed', leg.error.message))
      return 'whole'
    }
    if (isDiverged) {
      this.#why = 'another backend does not say the same, so going on would be a lie'
      // The client has nothing of it, so another way may do better.
      return leg.gave ? 'stopped' : 'nextWay'
    }
    return next
  }

  /** For the client that wants to know: where its answer has been, this leg's way last. */
  #toldOf(begun: Pick<Continued, 'from' | 'to' | 'method'>): object {
    const before = this.#exchange.continued ?? []
    return { continued: [...before.map(({ from, to, method }) => ({ from, to, method })), begun] }
  }

  /** `told`: how the leg went for the client, where that is not how it went for the backend. */
  #settled(lease: Lease, outcome: Outcome, told = outcome): Trigger | undefined {
    this.#exchange.attempts.push({ backend: lease.endpoint.name, outcome: told })
    lease.settle(outcome, { figures: undefined, firstByteMs: undefined, forgiven: false })
    if (outcome.kind === 'answered') return undefined
    if (isDeath(told)) this.#exchange.died(lease.endpoint, told)
    if (outcome.kind === 'clientLeft') return undefined
    // The same again, on a connection of its own.
    if (isRace(outcome)) return { kind: 'broke', text: 'its connection was being closed' }
    this.#exchange.hasTried(lease.endpoint)
    // Where nobody was there, no prompt was read for nothing: several may have gone at once.
    if (outcome.kind !== 'unreachable') this.#laterLegs++
    // Nothing of this leg was let out: the next one begins where this one did.
    return triggerOf(outcome) ?? { kind: 'broke', text: 'it could not go on' }
  }

  #digestAt(endpoint: Endpoint | undefined): string | undefined {
    return endpoint?.model(this.#exchange.asked.ask.name.canonical)?.digest
  }

  #decide(emitted: Emitted, trigger: Trigger, endpoint: Endpoint | undefined) {
    const { ask } = this.#exchange.asked
    const model = endpoint?.model(ask.name.canonical)
    const place = placeOf(emitted, this.#facts)
    const ways =
      endpoint && model?.digest
        ? this.#doors.conformance.waysOf({ digest: model.digest, version: endpoint.version }, place)
        : undefined
    return mayContinue({
      family: this.#continuing.family,
      op: this.#continuing.op,
      request: this.#facts,
      emitted,
      trigger,
      laterLegs: this.#laterLegs,
      context: {
        tokensMax: this.#facts?.contextTokens ?? (endpoint && contextAt(endpoint, model)),
        promptTokens: Math.ceil(ask.textBytes / bytesPerToken),
      },
      setting: 'on',
      wish: this.#answer.continuationWish,
      ways,
    })
  }

  async #requestFor(way: Way, emitted: Emitted, endpoint: Endpoint): Promise<NextRequest | string> {
    if (way.checkRendering && !(await this.#rendersOpen(emitted, endpoint)))
      return 'the template of its model closes what was begun'
    const rendered = way.method === 'raw' ? await this.#rendered(endpoint) : undefined
    const request = this.#continuing.request(this.#original, emitted, way.method, rendered)
    return 'cannot' in request ? request.cannot : request
  }

  async #rendersOpen({ text, thinking }: Emitted, endpoint: Endpoint): Promise<boolean> {
    const { modelText, runner } = this.#exchange.asked.ask
    const begun = { content: text, thinking }
    const ask = (path: string, body: object) => this.#ask(endpoint, path, body)
    try {
      return (await rendersOpen({ model: modelText, runner }, undefined, begun, ask)) === true
    } catch (error) {
      if (error instanceof NotThere) throw error
      return false
    }
  }

  /** The template's text for the client's own request; undefined where the server does not say it. */
  async #rendered(endpoint: Endpoint): Promise<string | undefined> {
    const { asked } = this.#exchange
    if (this.#continuing.family !== 'ollama') return undefined
    try {
      const fields = JSON.parse(asked.body.bytes!.toString('utf8')) as Record<string, unknown>
      if (fields['raw'] === true) return String(fields['prompt'])
      const options = { ...(fields['options'] as object | undefined), num_predict: 1 }
      const said = (await this.#ask(endpoint, asked.path, {
        ...fields,
        options,
        stream: false,
        _debug_render_only: true,
      })) as { _debug_info?: { rendered_template?: unknown } }
      const text = said._debug_info?.rendered_template
      return typeof text === 'string' ? text : undefined
    } catch (error) {
      if (error instanceof NotThere) throw error
      return undefined
    }
  }

  async #ask(endpoint: Endpoint, path: string, body: object): Promise<unknown> {
    const { wire, clock, hop } = this.#doors
    const { answer, outcome } = await askEndpoint(wire, clock, hop, endpoint, {
      method: 'POST',
      path,
      body: JSON.stringify(body),
      timeoutMs: renderMsMax,
      onEnd: (end) => this.#exchange.onEnd(end),
    })
    const isBackends = outcome.kind === 'refused' && outcome.why !== 'clientFault'
    if (answer === undefined || isBackends || outcome.kind === 'brokeOff')
      throw new NotThere(outcome)
    if (answer.status !== 200) throw new Error(`it answered ${answer.status}`)
    return JSON.parse(answer.body.toString('utf8')) as unknown
  }

  async #lease(): Promise<Lease | undefined> {
    const { queue } = this.#doors
    try {
      return queue.leaseNow(this.#exchange) ?? (await queue.lease(this.#exchange))
    } catch (error) {
      if (error instanceof NobodyCan || error instanceof Failure) return undefined
      throw error
    }
  }

  get #original() {
    const { path, body } = this.#exchange.asked
    return { path, body: body.bytes! }
  }

  #stop(why: string): false {
    this.#why = why
    return false
  }

  #stopped(why: string, code: 'answer_cut' | 'repeat_guard' = 'answer_cut'): 'stopped' {
    this.#why = why
    this.#code = code
    return 'stopped'
  }
}

/** What can be gone on with: a stream of a kind that we know, its request at hand and not packed. */
export function continuingFor({ asked }: Exchange): Continuing | undefined {
  const { ask, body, rawHeaders } = asked
  if (ask.purpose !== 'infer' || !body.bytes || ask.name.cloud) return undefined
  for (let index = 0; index < rawHeaders.length; index += 2)
    if (rawHeaders[index]!.toLowerCase() === 'content-encoding') return undefined
  return continuingOf(ask.family === 'own' ? 'ollama' : ask.family, ask.op)
}
