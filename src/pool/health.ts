/** What the probes say of a backend. `unknown` until the first look has ended. */
export interface Health {
  readonly state: 'unknown' | 'ready' | 'away'
  /** Why it is away, in words for a person. */
  readonly reason: string
  readonly sinceMs: number
  readonly goodInRow: number
  readonly badInRow: number
}

export const freshHealth: Health = {
  state: 'unknown',
  reason: 'not asked yet',
  sinceMs: 0,
  goodInRow: 0,
  badInRow: 0,
}

/**
 * One more look. At the start a single look decides, since waiting for three would only delay the first answer; later
 * `fall` bad looks in a row make it away and `rise` good ones bring it back.
 */
export function healthAfter(
  health: Health,
  look: { ok: true } | { ok: false; reason: string },
  nowMs: number,
  settings: { fall: number; rise: number },
): Health {
  const goodInRow = look.ok ? health.goodInRow + 1 : 0
  const badInRow = look.ok ? 0 : health.badInRow + 1
  const reason = look.ok ? '' : look.reason
  const turn = (state: Health['state']): Health => ({
    state,
    reason: state === 'ready' ? '' : reason,
    sinceMs: nowMs,
    goodInRow,
    badInRow,
  })
  if (health.state === 'unknown') return turn(look.ok ? 'ready' : 'away')
  if (health.state === 'ready' && badInRow >= settings.fall) return turn('away')
  if (health.state === 'away' && goodInRow >= settings.rise) return turn('ready')
  return {
    ...health,
    goodInRow,
    badInRow,
    reason: health.state === 'away' && !look.ok ? reason : health.reason,
  }
}

/** An agent that has said nothing for too long: away until it is heard again, whatever answers the probes there. */
export function healthInSilence(nowMs: number): Health {
  return { state: 'away', reason: 'no heartbeat', sinceMs: nowMs, goodInRow: 0, badInRow: 0 }
}

/** It is heard again, or has just been called back: nothing has to be waited for. */
export function healthHeardAgain(nowMs: number): Health {
  return { state: 'ready', reason: '', sinceMs: nowMs, goodInRow: 1, badInRow: 0 }
}
