/** What a swap may cost, so that a fleet does not spend its time loading. */
export interface BudgetSettings {
  /** Share of a machine's time that swaps may take. */
  readonly share: number
  /** The share follows the fleet's load; false: it stays as it is. */
  readonly adaptive: boolean
}

/** Of swaps in so many seconds a machine may make use at once. */
const savedS = 600
/** Doublings of a price at most, and loads that a machine can be in debt with. */
const dearnessMax = 6
const debtsMax = 6
/**
 * Window of the brake, and the share of it that loads may take in all of the fleet. With 0.1 the slowest of a hundred took a
 * fifth longer at a load of 0.8 than with 0.3; without any a fifth longer where half of the requests are turns (24 seeds).
 */
const brakeWindowS = 60
const brakeShare = 0.3
/** Fewer loads than this in the window are no thrash, however small the fleet is. */
const brakeLoadsMin = 4
/**
 * A fleet that is full has no time for loads. Measured with what stays for a minute, 48 seeds of six models on six machines:
 * 17.6, 17.4 and 18.8 loads per 1,000 requests at loads of 0.5, 0.65 and 0.8.
 */
const calmLoad = 0.6
const fullLoad = 0.85
const fullFactor = 0.4

interface Account {
  savedS: number
  atMs: number
}

/** The loads of the fleet as time spent: a purse for each machine, and a brake for all of them. */
export class SwapBudget {
  readonly settings: BudgetSettings
  readonly #accounts = new Map<string, Account>()
  #recent: { atMs: number; seconds: number }[] = []

  constructor(settings: BudgetSettings) {
    this.settings = settings
  }

  /**
   * How many times its price a swap of so many seconds must be worth there now: 1 where it has been saved for, and twice
   * as much with each load that has not. A swap that is worth a hundred times its price is never forbidden, or a machine
   * would stand idle with the wrong models while a hundred wait for another.
   */
  dearness(host: string, seconds: number, fleetLoad: number, nowMs: number): number {
    const needed = Math.min(seconds, this.#most())
    const missing = needed - this.#account(host, fleetLoad, nowMs).savedS
    return missing <= 0 ? 1 : 2 ** Math.min(dearnessMax, missing / Math.max(1, seconds))
  }

  /** Every load is paid for, also one that had to be. */
  spent(host: string, seconds: number, fleetLoad: number, nowMs: number): void {
    const account = this.#account(host, fleetLoad, nowMs)
    account.savedS = Math.max(-debtsMax * seconds, account.savedS - seconds)
    this.#recent.push({ atMs: nowMs, seconds })
    if (this.#recent.length > 1_000) this.#recent.shift()
  }

  /** Loads took too much of the last minute: whatever has a warm copy makes do with it. */
  isBraked(hosts: number, nowMs: number): boolean {
    this.#recent = this.#recent.filter(({ atMs }) => nowMs - atMs < brakeWindowS * 1_000)
    if (this.#recent.length < brakeLoadsMin) return false
    const seconds = this.#recent.reduce((sum, each) => sum + each.seconds, 0)
    return seconds > brakeShare * brakeWindowS * hosts
  }

  forget(host: string): void {
    this.#accounts.delete(host)
  }

  #most(): number {
    return savedS * this.settings.share
  }

  #account(host: string, fleetLoad: number, nowMs: number): Account {
    let account = this.#accounts.get(host)
    if (!account) {
      account = { savedS: this.#most(), atMs: nowMs }
      this.#accounts.set(host, account)
    }
    const passedS = (nowMs - account.atMs) / 1_000
    account.savedS = Math.min(this.#most(), account.savedS + passedS * this.#shareAt(fleetLoad))
    account.atMs = nowMs
    return account
  }

  #shareAt(fleetLoad: number): number {
    const { share, adaptive } = this.settings
    if (!adaptive) return share
    const along = Math.min(1, Math.max(0, (fleetLoad - calmLoad) / (fullLoad - calmLoad)))
    return share * (1 - along * (1 - fullFactor))
  }
}
