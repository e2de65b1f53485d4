/** One model's runner at one endpoint: what came into its prompt cache since it began, and what was learned of that. */
export interface Home {
  /** Never given to another, so that what is remembered of a runner that is gone counts for nobody. */
  readonly id: number
  readonly endpoint: string
  readonly model: string
  /** Tokens of prompts that were not in it yet, and of answers. */
  addedTokens: number
  /** So many more of them, and what was read is more likely gone than there. */
  capacityTokens: number
  /** Share of what should be cached that was, as hits show it; for beginnings, and for what clients call a session. */
  hitShare: number
  sessionShare: number
  /** Nanoseconds for one token of a prompt of which nothing was cached; undefined: none was seen. */
  coldNs: number | undefined
  /** Bytes of text that made one token in those; undefined: none was seen. */
  bytesPerToken: number | undefined
  /** Since when hits do not come; undefined: they do. */
  offSinceMs: number | undefined
  /** Tokens that next turns may need, as of `heldAtMs`; `awaited.ts` keeps count. */
  heldTokens: number
  heldAtMs: number
}

/**
 * Ollama's runner keeps prompts that lost their slot in 8 GiB of main memory; a token of a middling model takes
 * 128 KiB there. What is true here is learned from hits and misses.
 */
const capacityTokensFirst = 65_536
const capacityTokensMin = 64
const capacityTokensMax = 16_777_216
/** What a miss long before takes from the size. */
const earlyMissWeight = 0.1
/** A new home is believed, but not wholly. */
const hitShareFirst = 0.8
const hitShareWeight = 0.25
/** Below this share hits do not pay for the unevenness that going after them makes. */
const offBelow = 0.06
/** After so long hits are tried again, for a moment. */
const retryEveryMs = 600_000
const retryForMs = 5_000
const retryShare = 0.5
/** Others whom we do not see push things out as well. */
const halfLifeMs = 30 * 60_000
/** Fewer tokens tell nothing: their time is mostly overhead. */
const tokensToTell = 64
/** A hit on less than this share of a prompt is lost in the noise of its speed. */
const shareToTell = 0.3
/** With less than this share of it expected, a prompt counts as one that was read from its beginning. */
const shareOfCold = 0.05

export function freshHome(id: number, endpoint: string, model: string): Home {
  return {
    id,
    endpoint,
    model,
    addedTokens: 0,
    capacityTokens: capacityTokensFirst,
    hitShare: hitShareFirst,
    sessionShare: hitShareFirst,
    coldNs: undefined,
    bytesPerToken: undefined,
    offSinceMs: undefined,
    heldTokens: 0,
    heldAtMs: 0,
  }
}

/** From 1 to 0: whether what was read then is likely to be cached still. A cache of some size loses what is oldest. */
export function survival(home: Home, sinceTokens: number, ageMs: number): number {
  const filled = sinceTokens / home.capacityTokens
  return 2 ** (-ageMs / halfLifeMs) / (1 + filled ** 4)
}

/** Share of a promised hit that comes true here; 0 while hits do not come. */
export function beliefIn(home: Home, kind: 'prefix' | 'session', nowMs: number): number {
  if (kind === 'session') return home.sessionShare < offBelow ? 0 : home.sessionShare
  if (home.offSinceMs === undefined) return home.hitShare
  const offMs = nowMs - home.offSinceMs
  return offMs >= retryEveryMs && offMs % retryEveryMs < retryForMs ? retryShare : 0
}

/** What was expected of one prompt when it was sent. */
export interface Expected {
  readonly kind: 'prefix' | 'session' | 'nothing'
  /** Tokens that were there once. */
  readonly tokens: number
  readonly sinceTokens: number
  readonly ageMs: number
}

export const nothingExpected: Expected = { kind: 'nothing', tokens: 0, sinceTokens: 0, ageMs: 0 }

/** What a server said of a prompt; `bytes`: what there was to read. */
export interface PromptRead {
  readonly bytes: number
  readonly promptTokens: number
  readonly promptNs: number
}

/**
 * Tokens of the whole prompt. Ollama counts them all from 0.30 on, and before only those that it had to read: then as
 * many are missing as should have been there.
 */
export function tokensInAll(
  { bytesPerToken }: Home,
  expected: Expected,
  { bytes, promptTokens }: PromptRead,
): number {
  if (bytesPerToken === undefined || expected.tokens === 0) return promptTokens
  const missing = bytes / bytesPerToken - promptTokens
  const isHit = missing > promptTokens * shareToTell && missing < expected.tokens * 1.2
  return isHit ? promptTokens + missing : promptTokens
}

/**
 * Ollama takes the time of those tokens that it had to read. So the speed of prompts of which nothing was there says
 * how many were there of the others: all − time / speed.
 */
export function learn(home: Home, expected: Expected, read: PromptRead, nowMs: number): void {
  const { bytes, promptTokens, promptNs } = read
  if (promptTokens < tokensToTell || promptNs <= 0) return
  if (expected.tokens < promptTokens * shareOfCold) {
    const perToken = promptNs / promptTokens
    home.bytesPerToken =
      ((home.bytesPerToken ?? bytes / promptTokens) * 3 + bytes / promptTokens) / 4
    // A hit that nobody expected, on what somebody else had sent, must not make the others look like none.
    if (home.coldNs !== undefined && perToken < home.coldNs / 2)
      home.coldNs += (perToken - home.coldNs) / 20
    else home.coldNs = home.coldNs === undefined ? perToken : (home.coldNs * 3 + perToken) / 4
    return
  }
  const all = tokensInAll(home, expected, read)
  if (home.coldNs === undefined || expected.tokens < all * shareToTell) return
  const cached = all - promptNs / home.coldNs
  const share = Math.min(1, Math.max(0, cached / Math.min(expected.tokens, all)))
  learnCapacity(home, expected, share)
  if (survival(home, expected.sinceTokens, expected.ageMs) < 0.5 && share < 0.5) return
  if (expected.kind === 'session') {
    home.sessionShare += (share - home.sessionShare) * hitShareWeight
    return
  }
  home.hitShare += (share - home.hitShare) * hitShareWeight
  if (home.hitShare >= offBelow) home.offSinceMs = undefined
  else home.offSinceMs ??= nowMs
}

/**
 * A hit after so many tokens shows that the cache is larger, a miss that it is smaller: half-way there each time. A miss
 * long before it can be full is mostly another prompt's doing, which began alike and took the place; it counts a little,
 * or a cache that is small from the first would never be found out.
 */
function learnCapacity(home: Home, { sinceTokens }: Expected, share: number): void {
  const since = Math.max(sinceTokens, capacityTokensMin)
  const { capacityTokens } = home
  const isEarly = since <= capacityTokens / 2
  if (share > 0.7 && !isEarly)
    home.capacityTokens = Math.min(capacityTokensMax, Math.sqrt(capacityTokens * since * 2))
  if (share < 0.3 && sinceTokens > 0 && since < capacityTokens * 2) {
    const smaller = isEarly
      ? capacityTokens * (1 - earlyMissWeight)
      : Math.sqrt((capacityTokens * since) / 2)
    home.capacityTokens = Math.max(capacityTokensMin, smaller)
  }
}
