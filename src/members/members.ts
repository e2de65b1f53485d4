import { type Backend, backendAt } from '../core/backend.ts'
import { Failure } from '../core/failure.ts'
import { readLoadReport } from '../core/load-report.ts'
import { addressList } from '../guard/address.ts'
import { sign, skewMsMaxDefault, verify } from '../guard/signing.ts'
import { barOfAddress } from './addresses.ts'
import { type CallDoors, type Told, tellAgent } from './calls.ts'
import type { Source } from './fleet.ts'
import { join, type SignedCall, sayForged } from './join.ts'
import { type Arrival, type Member, type MemberEvent, memberAfter, memberOf } from './member.ts'
import type { MembersDoors } from './members-doors.ts'
import { knownAs, knownOf } from './memory.ts'
import { barToJoin } from './register.ts'
import { Replays } from './replays.ts'
import { readSequence } from './words.ts'

/** Told to agents when they join. */
const heartbeatMs = 5_000
/** Two heartbeats, and the time that they take. */
const goneMs = 10_000
const lookEveryMs = 1_000
/** A look that comes later than this tells of our own standstill, not of anybody's silence. */
const lookLateMs = 3_000
/** Refused joins are said this often at most: strangers may try all day. */
const refusedSaidEveryMs = 60_000
/** Joins whose agents are being called back; each takes two seconds at most. */
const joiningMax = 64

/** A JSON document and its signature. */
export interface SignedAnswer {
  readonly text: string
  readonly signed: string
}

/** Those who joined or were found, and the only one who changes what is known of them. */
export class Members implements Source, Disposable {
  readonly #doors: MembersDoors
  readonly #members = new Map<string, Member>()
  readonly #replays = new Replays(2 * skewMsMaxDefault)
  #joining = 0
  #look: Disposable | undefined
  #isFullSaid = false
  #refusedSaidMs = -Infinity

  constructor(doors: MembersDoors) {
    this.#doors = doors
  }

  /** Who served before a restart does so at once; an agent is a plain server until it has joined again. */
  async recall(): Promise<void> {
    await this.#doors.memory.read()
    for (const { name, kind, serving, origin, labels } of this.#doors.memory.all()) {
      if (!serving) continue
      const how = kind === 'agent' ? 'joined' : 'scan'
      const arrival: Arrival = { name, how, origin, labels, version: '', agent: undefined }
      this.#members.set(name, memberOf(arrival, 'accepted', this.#now()))
    }
    if (this.#members.size > 0) this.#lookLater()
  }

  get(name: string): Member | undefined {
    return this.#members.get(name)
  }

  all(): Iterable<Member> {
    return this.#members.values()
  }

  backends(): readonly Backend[] {
    const serving = [...this.#members.values()].filter(
      ({ state }) => state === 'accepted' || state === 'gone',
    )
    return serving.map(({ name, origin, labels, agent }) => ({
      ...backendAt(name, origin),
      labels,
      agent: agent && { instance: agent.instance, tag: agent.tag },
    }))
  }

  async join(call: SignedCall): Promise<SignedAnswer> {
    if (this.#joining >= joiningMax)
      throw new Failure('members_full', 'too many are joining at this moment', { retryAfterS: 2 })
    this.#joining++
    try {
      const { settings, memory, others, clock } = this.#doors
      const joined = await join(call, {
        ...this.#calls(),
        ...this.#doors,
        settings: settings.join,
        replays: this.#replays,
        nowMs: () => clock.now(),
        seen: () => ({
          others: others(),
          members: this.#members,
          membersMax: settings.join.membersMax,
        }),
        known: (name, before) => knownOf(before) ?? memory.get(name),
      })
      this.#enter(joined.arrival, joined.state, call.peer)
      const { key, nonce, proxyNonce, arrival, state } = joined
      const words = {
        state,
        name: arrival.name,
        nonce: proxyNonce,
        heartbeat_ms: heartbeatMs,
        gone_ms: goneMs,
      }
      return this.#signed(words, { key, path: call.path, nonce })
    } catch (error) {
      if (error instanceof Failure) this.#sayRefused(error, call.peer)
      throw error
    } finally {
      this.#joining--
    }
  }

  heartbeat(name: string, call: SignedCall): SignedAnswer {
    const { member, key, nonce, load } = this.#session(name, call)
    const report = readLoadReport(load)
    if (report) {
      member.load = report
      this.#doors.service.load(name, report)
    }
    this.#turn(member, 'heard', 'heartbeat')
    const isDrained = member.state === 'leaving' || this.#doors.service.isDrained(name)
    const state = member.state === 'pending' ? 'pending' : isDrained ? 'draining' : 'accepted'
    return this.#signed({ state }, { key, path: call.path, nonce })
  }

  leave(name: string, call: SignedCall): SignedAnswer {
    const { member, key, nonce } = this.#session(name, call)
    this.#turn(member, 'leave', 'it said goodbye')
    const known = this.#doors.memory.get(name)
    if (known?.answer === 'allowed') this.#doors.memory.forget(name)
    else if (known) this.#doors.memory.remember({ ...known, serving: false })
    return this.#signed({ state: 'leaving' }, { key, path: call.path, nonce })
  }

  /** Nobody there may become a member, so what strangers say of it is not even looked into. */
  isBarred(address: string, port: number): boolean {
    const { settings, ownAddresses, ownPort } = this.#doors
    const isAllowed = addressList(settings.join.allowAddresses)
    const rules = { isAllowed, ownAddresses: ownAddresses(), ownPort: ownPort() }
    return barOfAddress(address, port, rules) !== undefined
  }

  /** By mDNS or a scan. Whether it serves is for a person to say, unless the operator has said it for all. */
  found({ name, origin, how, version }: Omit<Arrival, 'labels' | 'agent'>, accept: boolean): void {
    const { settings, others, memory, observer } = this.#doors
    const url = new URL(origin)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    if (this.isBarred(host, Number(url.port) || 80)) return
    const { membersMax } = settings.join
    const bar = barToJoin(
      { name, instance: '', origin },
      { others: others(), members: this.#members, membersMax },
    )
    if (bar?.code === 'members_full' && !this.#isFullSaid) {
      this.#isFullSaid = true
      observer.noticed('more servers were found than join.max lets in', { members: membersMax })
    }
    if (bar || this.#members.has(name)) return
    const known = memory.get(name)
    const isKnown = known?.origin === origin
    if (isKnown && known.answer === 'rejected') return
    const state = accept || isKnown ? 'accepted' : 'pending'
    this.#enter({ name, origin, how, version, labels: [], agent: undefined }, state, how)
  }

  /** It has said over mDNS that it goes: nobody need be asked about it any more. Who serves is for the probes to judge. */
  lost(origin: string): void {
    for (const member of [...this.#members.values()])
      if (member.origin === origin && member.state === 'pending' && !member.agent)
        this.#turn(member, 'silence', 'it said goodbye')
  }

  /**
   * The operator says yes: now, after every restart, and to one that is not there yet but was rejected before. Holds at
   * once; resolves when it is on disk, so that whoever was told so can rely on it.
   */
  async accept(name: string): Promise<void> {
    const { memory } = this.#doors
    const member = this.#members.get(name)
    const known = memory.get(name)
    if (!member && !known)
      throw new Failure('worker_unknown', `nobody called "${name}" has joined or was found`)
    if (member) {
      this.#turn(member, 'accept', 'operator')
      memory.remember(knownAs(member, 'accepted'))
    } else if (known) memory.remember({ ...known, answer: 'accepted', serving: false })
    await memory.written()
  }

  /** The operator says no: out of service, and not let in again from that address. Resolves as `accept` does. */
  async reject(name: string): Promise<void> {
    const { memory } = this.#doors
    const member = this.#members.get(name)
    const known = memory.get(name)
    if (!member && !known)
      throw new Failure('worker_unknown', `nobody called "${name}" has joined or was found`)
    if (member) {
      this.#turn(member, 'reject', 'operator')
      memory.remember(knownAs(member, 'rejected'))
    } else if (known) memory.remember({ ...known, answer: 'rejected', serving: false })
    await memory.written()
  }

  /** Undefined: it is no agent. Orders that it did not hear hold at the proxy all the same. */
  async tell(name: string, verb: 'drain' | 'resume'): Promise<Told | undefined> {
    const member = this.#members.get(name)
    if (!member?.agent) return undefined
    return (await tellAgent(member, verb, this.#calls())).told
  }

  async restart(name: string): Promise<void> {
    const member = this.#members.get(name)
    if (!member?.agent)
      throw new Failure('not_managed', `"${name}" has no agent that could restart it`)
    const { told, status } = await tellAgent(member, 'restart', this.#calls())
    if (told === 'done') return
    if (told === 'unreached')
      throw new Failure('agent_unreachable', `the agent "${name}" did not answer`)
    if (status === 409)
      throw new Failure('not_managed', `the agent "${name}" does not manage its Ollama`)
    throw new Failure('agent_unreachable', `the agent "${name}" answered ${status}`)
  }

  [Symbol.dispose](): void {
    this.#look?.[Symbol.dispose]()
  }

  #enter(arrival: Arrival, state: 'accepted' | 'pending', from: string): void {
    const { name, how, agent } = arrival
    const before = this.#members.get(name)
    const served = before?.state === 'accepted' || before?.state === 'gone'
    const member = memberOf(arrival, state, this.#now())
    this.#members.set(name, member)
    this.#lookLater()
    if (state === 'accepted') this.#remember(member)
    const why = state === 'pending' ? `chasqui backend accept ${name}` : `${how} from ${from}`
    this.#doors.observer.backendTurned(name, state === 'pending' ? 'pending' : 'joined', why)
    if (state === 'accepted' || served) this.#doors.changed()
    if (state === 'accepted' && served)
      this.#doors.service.back(name, before.agent?.instance !== agent?.instance)
  }

  #sayRefused({ code, message }: Failure, peer: string): void {
    const now = this.#doors.clock.now()
    if (now - this.#refusedSaidMs < refusedSaidEveryMs) return
    this.#refusedSaidMs = now
    this.#doors.observer.noticed('somebody could not join', { from: peer, code, why: message })
  }

  /** The operator's word stays the operator's, for the address that it was said of. */
  #remember(member: Member): void {
    const { memory } = this.#doors
    const before = memory.get(member.name)
    const known = knownAs(member, 'allowed')
    const isWord = before?.answer === 'accepted' && before.address === known.address
    memory.remember(isWord ? { ...known, answer: 'accepted' } : known)
  }

  /** A call within a session, believed; throws what the caller hears. */
  #session(name: string, call: SignedCall) {
    const member = this.#members.get(name)
    if (!member?.agent) throw new Failure('worker_unknown', `no agent "${name}" has joined`)
    const { key } = member.agent
    const verdict = verify({ ...call, key, nowMs: this.#doors.clock.wall() })
    if (!verdict.ok) throw new Failure('join_forged', sayForged(verdict.why))
    const words = readSequence(call.body)
    if (!words) throw new Failure('request_invalid', 'the body must have a sequence above 0')
    if (words.sequence <= member.sequence)
      throw new Failure('join_forged', 'this call was made before')
    member.sequence = words.sequence
    member.heardMs = this.#doors.clock.now()
    member.heardWallMs = this.#doors.clock.wall()
    return { member, key, nonce: verdict.nonce, load: words.load }
  }

  #turn(member: Member, event: MemberEvent, why: string): void {
    const { observer, service, changed } = this.#doors
    const before = member.state
    const after = memberAfter(before, event)
    if (after === before) return
    if (after === 'forgotten') this.#members.delete(member.name)
    else member.state = after
    if (after === 'leaving') this.#lookLater()
    observer.backendTurned(member.name, sayState(before, after), why)
    if (before === 'gone' && after === 'accepted') service.back(member.name, false)
    else if (after === 'gone') service.silent(member.name)
    else if (after === 'leaving' || after === 'accepted') changed()
  }

  /** While there is somebody: who is silent, and who has left. */
  #lookLater(): void {
    const begunMs = this.#doors.clock.now()
    this.#look ??= this.#doors.clock.after(lookEveryMs, () => {
      this.#look = undefined
      const now = this.#doors.clock.now()
      const lateMs = now - begunMs - lookEveryMs
      // What was sent meanwhile is still to be read.
      if (lateMs > lookLateMs) for (const member of this.#members.values()) member.heardMs += lateMs
      for (const member of [...this.#members.values()]) {
        if (member.state === 'leaving') {
          if (!this.#doors.service.isBusy(member.name)) this.#turn(member, 'ended', 'it has left')
        } else if (member.how === 'joined' && now - member.heardMs >= goneMs)
          this.#turn(member, 'silence', 'no heartbeat')
      }
      if (this.#members.size > 0) this.#lookLater()
    })
  }

  #calls(): CallDoors {
    const { call, nonce, clock } = this.#doors
    return { call, nonce, wallMs: () => clock.wall() }
  }

  #signed(words: object, how: { key: Buffer; path: string; nonce: string }): SignedAnswer {
    const text = JSON.stringify(words)
    const nowMs = this.#doors.clock.wall()
    return { text, signed: sign({ ...how, method: 'ANSWER 200', body: text, nowMs }) }
  }

  #now() {
    return { ms: this.#doors.clock.now(), wallMs: this.#doors.clock.wall() }
  }
}

function sayState(before: Member['state'], after: Member['state'] | 'forgotten'): string {
  if (after === 'accepted') return before === 'gone' ? 'back' : 'joined'
  return after === 'forgotten' ? 'left' : after
}
