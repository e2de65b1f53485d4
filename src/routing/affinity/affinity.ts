import type { EndpointView } from '../../core/endpoint-view.ts'
import { heldIn, hold, Returns } from './awaited.ts'
import { CacheTable, type Holding } from './cache-table.ts'
import { favouriteOf } from './favourite.ts'
import {
  beliefIn,
  type Expected,
  freshHome,
  type Home,
  learn,
  nothingExpected,
  survival,
  tokensInAll,
} from './home.ts'
import type { Prompt } from './prompt.ts'

/** Endpoints that are looked at for one prompt: those that hold the longest beginnings of it. */
const holdingsMax = 16
/** Somebody in line is looked up anew no more often than this: a line of a thousand is walked at every answer. */
const lookAgainMs = 50
/** Runners that are remembered, more than any fleet has; the oldest is forgotten. */
const homesMax = 4_096
/** Where no server has counted the tokens: bytes of text that make one. */
const bytesPerToken = 4
/** Savings below this are noise. */
const tokensMin = 16
/** Of a conversation that has a name and that nobody here remembers: what its favourite may hold, unmeasured. */
const favouriteShare = 0.5
/** Boundaries of one that is in its middle: there are two messages and more before the last. */
const boundariesOfMiddle = 3

/** A prompt on its way to an endpoint; `read` wants it back. */
export interface Sending {
  readonly home: Home
  readonly prompt: Prompt
  readonly expected: Expected
}

/** What a server said of a prompt that it has read; undefined where it did not. */
export interface ReadFigures {
  readonly promptTokens: number
  readonly promptNs: number
  readonly outputTokens: number
}

/**
 * Where the beginnings of prompts are likely to be in memory, in tokens. Seconds are made of them where an endpoint is
 * chosen, so a machine that is busier by more than a hit is worth loses it, and a beginning that many share is soon at
 * many machines. Time comes in with every call.
 */
export class Affinity {
  readonly #endpoints: () => readonly EndpointView[]
  /** Made when there is something to remember. */
  #made: CacheTable | undefined
  /** By endpoint and model. */
  readonly #homes = new Map<string, Home>()
  readonly #byId = new Map<number, Home>()
  readonly #homeOf = (id: number) => this.#byId.get(id)
  readonly #returns = new Returns()
  #lastId = 0
  /** Changes with everything that is learned. */
  #version = 0

  /** `endpoints`: all there are, for conversations of which only the name is known. */
  constructor(endpoints: () => readonly EndpointView[]) {
    this.#endpoints = endpoints
  }

  get #table(): CacheTable {
    this.#made ??= new CacheTable()
    return this.#made
  }

  /** Tokens of this prompt that the endpoint need not read, as far as can be told; 0 where nothing is known. */
  cachedTokens(endpoint: string, prompt: Prompt, nowMs: number): number {
    // Those of which only the name is known are for other proxies as well.
    if (this.#made === undefined && prompt.sessionHigh === 0) return 0
    this.#look(prompt, nowMs)
    let best = 0
    for (const holding of prompt.found) {
      if (holding.home.endpoint !== endpoint) continue
      const tokens = worth(holding, 'prefix', nowMs)
      if (tokens > best) best = tokens
    }
    if (prompt.sessionHigh !== 0) {
      best = Math.max(best, this.#ofSession(endpoint, prompt, nowMs))
      if (best === 0) best = this.#byHabit(endpoint, prompt, nowMs)
    }
    return best < tokensMin ? 0 : best
  }

  /**
   * Seconds of reading that would be lost there with the model: what is in memory of conversations that will probably go
   * on, at the speed at which it reads what it does not know. 0 where nothing was measured, or nobody comes back.
   */
  prefixS(endpoint: string, model: string, nowMs: number): number {
    const home = this.#homes.get(keyOf(endpoint, model))
    if (home?.coldNs === undefined) return 0
    const comesBack = this.#returns.shareOf(model) * beliefIn(home, 'prefix', nowMs)
    return (comesBack * heldIn(home, nowMs) * home.coldNs) / 1e9
  }

  /** A prompt goes out: what of it is not in memory there will push something else out. */
  sent(endpoint: string, model: string, prompt: Prompt, nowMs: number): Sending {
    const home = this.#home(endpoint, model)
    const expected = this.#expected(home, prompt, nowMs)
    if (prompt.count > 0) this.#cameBack(home, prompt, nowMs)
    home.addedTokens += missing(prompt.bytes / bytesPerToken, expected)
    return { home, prompt, expected }
  }

  /** It has been read there, so its beginnings are in memory now. */
  read({ home, prompt, expected }: Sending, figures: ReadFigures | undefined, nowMs: number): void {
    // Its runner ended meanwhile.
    if (this.#byId.get(home.id) !== home) return
    const estimated = prompt.bytes / bytesPerToken
    const read = figures && { ...figures, bytes: prompt.bytes }
    const promptTokens = (read && tokensInAll(home, expected, read)) || estimated
    const outputTokens = figures?.outputTokens ?? 0
    const more = missing(promptTokens, expected) - missing(estimated, expected)
    home.addedTokens += Math.max(0, more) + outputTokens
    if (read) learn(home, expected, read, nowMs)
    // The answer is in memory behind its prompt, and mostly comes back as the next message.
    const all = promptTokens + outputTokens
    const { count, bytes } = prompt
    if (count > 0) hold(home, all, nowMs)
    for (let at = 0; at < count; at++) {
      const isEnd = at === count - 1
      const tokens = isEnd ? all : (promptTokens * prompt.bytesAt[at]!) / (bytes || 1)
      this.#table.note(prompt.highs[at]!, prompt.lows[at]!, home, tokens, nowMs, isEnd)
    }
    if (prompt.sessionHigh !== 0)
      this.#table.note(prompt.sessionHigh, prompt.sessionLow, home, all, nowMs)
    this.#version++
  }

  /** Its runner ended under it. Others tell of the same end, and must not take what the next runner has read. */
  ended({ home }: Sending): void {
    if (this.#byId.get(home.id) === home) this.forget(home.endpoint, home.model)
  }

  /** The runner that read it had just begun: what was there before is gone, and this one counts for the new one. */
  restarted(sending: Sending): Sending {
    this.ended(sending)
    const { endpoint, model } = sending.home
    const home = this.#homes.get(keyOf(endpoint, model))
    if (!home) return sending
    home.addedTokens += sending.prompt.bytes / bytesPerToken
    return { ...sending, home, expected: nothingExpected }
  }

  /** The model was unloaded there, or its runner began anew: nothing is cached. */
  forget(endpoint: string, model: string): void {
    const home = this.#homes.get(keyOf(endpoint, model))
    if (!home) return
    // What was learned of the machine holds; what it had read does not.
    this.#drop(home)
    const next = { ...home, id: ++this.#lastId, addedTokens: 0, heldTokens: 0 }
    this.#homes.set(keyOf(endpoint, model), next)
    this.#byId.set(next.id, next)
  }

  /** Under this name there may be another machine. */
  forgetEndpoint(endpoint: string): void {
    for (const home of [...this.#homes.values()]) if (home.endpoint === endpoint) this.#drop(home)
  }

  /** What it goes on from is not waited for any more, wherever that is; what it shares is counted anew with it. */
  #cameBack(home: Home, prompt: Prompt, nowMs: number): void {
    let goesOn = false
    for (const holding of prompt.found) {
      if (holding.isEnd) goesOn = true
      else if (holding.home !== home) continue
      hold(holding.home, -holding.tokens, nowMs, Math.max(0, nowMs - holding.atMs))
    }
    this.#returns.note(home.model, goesOn)
  }

  /** Notes at the prompt who holds how much of it, and of its session. */
  #look(prompt: Prompt, nowMs: number): void {
    if (prompt.foundInVersion === this.#version || nowMs - prompt.foundAtMs < lookAgainMs) return
    prompt.foundInVersion = this.#version
    prompt.foundAtMs = nowMs
    prompt.found = this.#holdersOf(prompt)
    prompt.foundOfSession = this.#holdersOfSession(prompt)
  }

  /** From the longest beginning to the shortest: each endpoint counts with the longest that it holds. */
  #holdersOf({ highs, lows, count }: Prompt): readonly Holding[] {
    // Nobody has the longer ones who has not the shortest, which every one of them refreshed.
    if (count === 0 || this.#table.find(highs[0]!, lows[0]!) < 0) return nobody
    const holdings: Holding[] = []
    for (let at = count - 1; at >= 0 && holdings.length < holdingsMax; at--) {
      const entry = this.#table.find(highs[at]!, lows[at]!)
      if (entry >= 0) this.#table.holders(entry, this.#homeOf, holdings)
    }
    return holdings
  }

  #holdersOfSession({ sessionHigh, sessionLow }: Prompt): readonly Holding[] {
    const entry = sessionHigh === 0 ? -1 : this.#table.find(sessionHigh, sessionLow)
    if (entry < 0) return nobody
    const holdings: Holding[] = []
    this.#table.holders(entry, this.#homeOf, holdings)
    return holdings
  }

  #ofSession(endpoint: string, prompt: Prompt, nowMs: number): number {
    for (const holding of prompt.foundOfSession)
      if (holding.home.endpoint === endpoint)
        return Math.min(worth(holding, 'session', nowMs), prompt.bytes / bytesPerToken)
    return 0
  }

  /** Another proxy may have served it so far, or this one before it was started anew. */
  #byHabit(endpoint: string, prompt: Prompt, nowMs: number): number {
    if (prompt.count < boundariesOfMiddle || prompt.found.length > 0) return 0
    if (prompt.foundOfSession.length > 0) return 0
    if (prompt.favouriteAtMs !== nowMs) {
      prompt.favouriteAtMs = nowMs
      prompt.favourite = favouriteOf(prompt.sessionHigh, prompt.model, this.#endpoints(), (name) =>
        this.#speedOf(name, prompt.model),
      )
    }
    return prompt.favourite === endpoint ? (prompt.bytes / bytesPerToken) * favouriteShare : 0
  }

  /** Tokens of a prompt in a nanosecond; undefined: never measured. */
  #speedOf(endpoint: string, model: string): number | undefined {
    const coldNs = this.#homes.get(keyOf(endpoint, model))?.coldNs
    return coldNs === undefined ? undefined : 1 / coldNs
  }

  #expected(home: Home, prompt: Prompt, nowMs: number): Expected {
    this.#look(prompt, nowMs)
    for (const holding of prompt.found)
      if (holding.home === home) return expectedOf('prefix', holding, nowMs)
    for (const holding of prompt.foundOfSession)
      if (holding.home === home) return expectedOf('session', holding, nowMs)
    return nothingExpected
  }

  #home(endpoint: string, model: string): Home {
    const key = keyOf(endpoint, model)
    const known = this.#homes.get(key)
    if (known) return known
    if (this.#homes.size >= homesMax)
      for (const oldest of this.#homes.values()) {
        this.#drop(oldest)
        break
      }
    const home = freshHome(++this.#lastId, endpoint, model)
    this.#homes.set(key, home)
    this.#byId.set(home.id, home)
    return home
  }

  #drop(home: Home): void {
    this.#homes.delete(keyOf(home.endpoint, home.model))
    this.#byId.delete(home.id)
    this.#version++
  }
}

const nobody: readonly Holding[] = Object.freeze([])
const keyOf = (endpoint: string, model: string) => `${endpoint} ${model}`

/** Tokens of a prompt that are not in memory there, as far as can be told. */
const missing = (tokens: number, expected: Expected) => Math.max(0, tokens - expected.tokens)

function worth(
  { home, tokens, addedThen, atMs }: Holding,
  kind: 'prefix' | 'session',
  nowMs: number,
): number {
  const believed = beliefIn(home, kind, nowMs)
  if (believed === 0) return 0
  return tokens * believed * survival(home, home.addedTokens - addedThen, Math.max(0, nowMs - atMs))
}

function expectedOf(kind: 'prefix' | 'session', holding: Holding, nowMs: number): Expected {
  return {
    kind,
    tokens: holding.tokens,
    sinceTokens: holding.home.addedTokens - holding.addedThen,
    ageMs: Math.max(0, nowMs - holding.atMs),
  }
}
