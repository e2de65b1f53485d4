import { isRace, type Outcome } from '../core/outcome.ts'
import type { RetrySettings } from '../core/settings.ts'

/** May this attempt's failure be answered by another attempt elsewhere, as far as the failure itself goes? */
export function isWorthRetrying(outcome: Outcome): boolean {
  switch (outcome.kind) {
    case 'answered':
    case 'moved':
    case 'gaveWay':
    case 'overtaken':
    case 'clientLeft':
      return false
    case 'refused':
      return outcome.why !== 'clientFault'
    case 'brokeOff':
      return !outcome.afterFirstByte
    case 'unreachable':
      return true
    case 'timedOut':
      return outcome.limit === 'firstByte'
  }
}

/** Attempts that an exchange may still make, one that is under way among them. */
export function attemptsLeft(
  made: readonly { readonly outcome: Outcome }[],
  { retries }: { readonly retries: Pick<RetrySettings, 'furtherAttemptsMax'> },
): number {
  let tries = 0
  for (const { outcome } of made) if (countsAsTry(outcome)) tries++
  return 1 + retries.furtherAttemptsMax - tries
}

/** One that was overtaken has not failed. */
const countsAsTry = (outcome: Outcome) => !isRace(outcome) && outcome.kind !== 'overtaken'

/** Runners that may die under one exchange before it is the exchange that is held to be the cause. */
export const deathsMax = 2

/**
 * Retries across all exchanges are a share of the traffic plus a floor, so that a fleet in trouble is not asked three
 * times as much (the shape of Finagle's and Envoy's retry budgets: 20 % and a small floor).
 */
export class RetryBudget {
  #settings: RetrySettings
  #credit: number
  #atMs: number

  constructor(settings: RetrySettings, nowMs: number) {
    this.#settings = settings
    this.#credit = this.#creditMax
    this.#atMs = nowMs
  }

  /** After a reload: what has been earned stays, as far as it may. */
  reconfigure(settings: RetrySettings): void {
    this.#settings = settings
    this.#credit = Math.min(this.#credit, this.#creditMax)
  }

  /** Ten seconds' worth of the floor beside what a burst of traffic has earned. */
  get #creditMax(): number {
    return this.#settings.budgetFloor + 10
  }

  /** An exchange began: it earns its share. */
  earn(): void {
    this.#credit = Math.min(this.#creditMax, this.#credit + this.#settings.budgetShare)
  }

  /** Takes one retry out; false when there is none left. */
  spend(nowMs: number): boolean {
    const earned = ((nowMs - this.#atMs) / 10_000) * this.#settings.budgetFloor
    this.#atMs = nowMs
    this.#credit = Math.min(this.#creditMax, this.#credit + earned)
    if (this.#credit < 1) return false
    this.#credit -= 1
    return true
  }
}
