import type { Outcome } from '../../core/outcome.ts'
import type { Gaps } from './gaps.ts'

/**
 * Why an answer that has begun shall go on elsewhere. `broke`: reset, or its backend was given up by the probes ·
 * `ended`: a clean end without the last line · `crashed`: an error inside the stream that tells of a dead runner or of
 * no memory · `silent`: it stalled · `drained`: its backend is being drained, and the limit for that is over · `gaveWay`:
 * it is batch work, and a person's request has its seat.
 */
export type Trigger =
  | { readonly kind: 'broke'; readonly text: string }
  | { readonly kind: 'ended' }
  | { readonly kind: 'crashed'; readonly text: string }
  | { readonly kind: 'silent'; readonly silentMs: number }
  | { readonly kind: 'drained' }
  | { readonly kind: 'gaveWay' }

/** How an attempt's end is a reason to go on elsewhere; undefined: it is none, or no byte of it was let out. */
export function triggerOf(outcome: Outcome): Trigger | undefined {
  switch (outcome.kind) {
    case 'brokeOff':
      if (!outcome.afterFirstByte) return undefined
      return outcome.clean ? { kind: 'ended' } : { kind: 'broke', text: outcome.text }
    case 'unreachable':
      return { kind: 'broke', text: outcome.text }
    case 'timedOut':
      return outcome.limit === 'idle' ? { kind: 'broke', text: outcome.text } : undefined
    case 'moved':
      return { kind: 'drained' }
    case 'gaveWay':
      return { kind: 'gaveWay' }
    case 'answered':
    case 'refused':
    case 'overtaken':
    case 'clientLeft':
      return undefined
  }
}

/**
 * An error line inside a stream, by its text. `isCrashText` is the dialects' knowledge of Ollama's words. Any other
 * line is the model's or the request's own fault: it passes unchanged and is final. Before the first token there is
 * nothing to go on with: the request is sent again, or not, like every one that failed.
 */
export function triggerOfErrorLine(
  text: string,
  tokens: number,
  isCrashText: (text: string) => boolean,
): Trigger | undefined {
  return tokens > 0 && isCrashText(text) ? { kind: 'crashed', text } : undefined
}

/** Requirement: a stream's own rhythm is known from here on. */
const tokensMin = 20
const gapsMin = 20
const silentMsMin = 30_000

/**
 * From how long a silence on this stream is suspect, in milliseconds: 20 times its own p99 gap, at least 30 s;
 * undefined: it has not said enough to be judged by.
 */
export function suspectAfterMs(gaps: Pick<Gaps, 'tokens' | 'p99Ms'>): number | undefined {
  const { tokens, p99Ms } = gaps
  if (tokens < tokensMin || p99Ms === undefined) return undefined
  return Math.max(gapsMin * p99Ms, silentMsMin)
}

/** What else is known of a backend whose stream is silent. */
export interface Witnesses {
  /** A probe that was sent when the silence became suspect has failed. */
  readonly probeFailed: boolean
  /** Its other streams that had begun, and how many of them have been silent for as long as this one may be. */
  readonly otherStreams: number
  readonly otherStreamsSilent: number
}

/** A silence counts as a stall only with a witness: a model may think long over one token, a dead host says nothing. */
export function isStalled(
  gaps: Pick<Gaps, 'tokens' | 'p99Ms' | 'silentMs'>,
  nowMs: number,
  witnesses: Witnesses,
): boolean {
  const limitMs = suspectAfterMs(gaps)
  if (limitMs === undefined || gaps.silentMs(nowMs) < limitMs) return false
  const { probeFailed, otherStreams, otherStreamsSilent } = witnesses
  return probeFailed || (otherStreams > 0 && otherStreamsSilent === otherStreams)
}

/** A backend that the operator drains: its streams may finish until the limit, then they go on elsewhere. */
export function isDrainOver(
  drain: { readonly sinceMs: number; readonly limitMs: number } | undefined,
  tokens: number,
  nowMs: number,
): boolean {
  return drain !== undefined && tokens > 0 && nowMs - drain.sinceMs >= drain.limitMs
}
