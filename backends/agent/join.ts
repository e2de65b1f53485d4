import { type Clock, sleep } from '../../src/core/clock.ts'
import { type Dice, jittered } from '../../src/core/dice.ts'
import type { LoadReport } from '../../src/core/load-report.ts'
import { type CallProxy, callSigned, type Said } from './call-proxy.ts'
import type { Standing } from './standing.ts'

/** Retries begin and end here; a fleet of agents should not come back as one. */
const pauseMsFirst = 1_000
const pauseMsMax = 30_000
const pauseJitter = 0.2
/** Until the proxy has said how often it wants to hear. */
const heartbeatMsUsual = 5_000
const heartbeatMsMin = 100
const heartbeatMsMax = 60_000
/** The proxy calls back before it answers, and looks at the Ollama through us. */
const joinMsMax = 10_000
const callMsMax = 4_000

export interface JoinDoors {
  readonly standing: Standing
  readonly clock: Clock
  readonly dice: Dice
  readonly call: CallProxy
  /** 16 bytes that nobody can guess, in hex. */
  readonly nonce: () => string
  /** What is said when it joins, beside who it is. */
  readonly words: () => {
    readonly port: number
    readonly url?: string
    readonly labels: readonly string[]
    readonly version: string
    readonly managed: boolean
  }
  readonly report: () => Promise<LoadReport>
  /** The operator of the proxy wants no new requests here, or wants them again. */
  readonly drained: (isDrained: boolean) => void
  /** A change of state, for people. */
  readonly say: (sentence: string) => void
  /** The proxy, as a person knows it. */
  readonly proxy: string
}

/**
 * Joins a proxy and stays joined: a heartbeat with a report every few seconds, anew whenever the proxy does not know us
 * any more, with growing pauses while it is away. Each change is said once.
 */
export class Joiner {
  readonly #doors: JoinDoors
  readonly #stopping = new AbortController()
  #heartbeatMs = heartbeatMsUsual
  #sequence = 0
  #said = ''
  #running: Promise<void> | undefined

  constructor(doors: JoinDoors) {
    this.#doors = doors
  }

  start(): void {
    this.#doors.standing.state = 'joining'
    this.#running ??= this.#run()
  }

  /** Says goodbye: no new requests from there from now on. Heartbeats go on, for what still runs. */
  async leave(): Promise<void> {
    const { standing } = this.#doors
    const isJoined = standing.session !== undefined
    standing.state = 'leaving'
    if (!isJoined) return
    const said = await this.#tell('leave', {})
    this.#sayOnce(said?.status === 200 ? 'has left the proxy' : 'could not tell the proxy goodbye')
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, dice, standing } = this.#doors
    const { signal } = this.#stopping
    let pauseMs = pauseMsFirst
    while (!signal.aborted) {
      const isJoined = standing.session !== undefined || (await this.#join())
      const isKnown = isJoined && !signal.aborted && (await this.#beat())
      if (isKnown) pauseMs = pauseMsFirst
      const nextMs = isKnown ? this.#heartbeatMs : jittered(dice, pauseMs, pauseJitter)
      if (!isKnown) pauseMs = Math.min(pauseMs * 2, pauseMsMax)
      await sleep(clock, nextMs, signal)
    }
  }

  /** True: it is a member, pending or accepted. */
  async #join(): Promise<boolean> {
    const { standing, nonce, words } = this.#doors
    const { key, name, instance } = standing
    if (!key || standing.state === 'leaving') return false
    standing.nonce = nonce()
    const body = { name, instance, nonce: standing.nonce, ...words() }
    const said = await this.#signed('/api/workers', key, body, joinMsMax)
    if (said?.status !== 200 || !said.isSigned) {
      this.#sayWhyNot(said)
      return false
    }
    const { state, nonce: proxyNonce, heartbeat_ms: heartbeatMs } = said.body
    if (typeof proxyNonce !== 'string' || !/^[0-9a-f]{32}$/.test(proxyNonce)) return false
    if (typeof heartbeatMs === 'number' && heartbeatMs >= heartbeatMsMin)
      this.#heartbeatMs = Math.min(heartbeatMs, heartbeatMsMax)
    this.#sequence = 0
    standing.open(proxyNonce)
    this.#turn(state)
    return true
  }

  /** False: the proxy does not know us (any more), so we join anew. One that does not answer may know us still. */
  async #beat(mayJoin = true): Promise<boolean> {
    const { standing, report } = this.#doors
    const said = await this.#tell('heartbeat', { load: await report() })
    if (said?.status === 200 && said.isSigned) {
      this.#turn(said.body['state'])
      return true
    }
    if (said && (said.status === 404 || said.status === 401)) {
      standing.close()
      if (standing.state !== 'leaving') standing.state = 'joining'
      // Its first report goes at once: until then the proxy knows nothing of its slots.
      return mayJoin && (await this.#join()) && (await this.#beat(false))
    }
    this.#sayWhyNot(said)
    return true
  }

  #turn(state: unknown): void {
    const { standing, drained, proxy } = this.#doors
    if (standing.state === 'leaving') return
    standing.state = state === 'pending' ? 'pending' : 'accepted'
    if (state === 'pending')
      return this.#sayOnce(
        `${proxy} waits for a word of its operator: chasqui backend accept ${standing.name}`,
      )
    drained(state === 'draining')
    this.#sayOnce(
      state === 'draining'
        ? `is drained by ${proxy}: no new requests until it is resumed`
        : `has joined ${proxy} as "${standing.name}"`,
    )
  }

  #tell(verb: 'heartbeat' | 'leave', words: object): Promise<Said | undefined> {
    const { session, name } = this.#doors.standing
    if (!session) return Promise.resolve(undefined)
    this.#sequence++
    const body = { sequence: this.#sequence, ...words }
    const path = `/api/workers/${encodeURIComponent(name)}/${verb}`
    return this.#signed(path, session, body, callMsMax)
  }

  #signed(path: string, key: Buffer, words: object, timeoutMs: number) {
    const { call, clock, nonce } = this.#doors
    return callSigned(call, { path, key, words, timeoutMs, nonce: nonce(), clock })
  }

  #sayWhyNot(said: Said | undefined): void {
    const { proxy } = this.#doors
    if (!said) return this.#sayOnce(`${proxy} does not answer; it is tried again`)
    if (said.status === 200) return this.#sayOnce(`${proxy} has another token than this agent`)
    const { detail, fix } = said.body
    const why = typeof detail === 'string' ? detail : `it answered ${said.status}`
    const what = typeof fix === 'string' ? `. ${fix}` : ''
    this.#sayOnce(`${proxy} refuses: ${printable(why)}${printable(what)}`)
  }

  #sayOnce(sentence: string): void {
    if (sentence === this.#said) return
    this.#said = sentence
    this.#doors.say(sentence)
  }
}

/** Words of a stranger, fit for a terminal. */
function printable(words: string): string {
  return words.slice(0, 500).replaceAll(/\p{Cc}/gu, ' ')
}
