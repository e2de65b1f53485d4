import type { Report, Request } from './specs.ts'

/** One request at one machine, from being sent until it has ended in one of the ways. */
export class Visit {
  readonly request: Request
  /** Index of the machine. */
  readonly machine: number
  readonly sentMs: number
  /** What this leg has to read and say: an answer that goes on elsewhere reads more and says less. */
  readonly promptTokens: number
  readonly outputTokens: number
  /** Traffic that does not come through the switch. */
  readonly isForeign: boolean
  state: 'pending' | 'waiting' | 'reading' | 'speaking' | 'ended' | 'failed' = 'pending'
  grantedMs = Number.NaN
  seatedMs = Number.NaN
  firstMs = Number.NaN
  endMs = Number.NaN
  cachedTokens = 0
  /** Whether it was this one's load. */
  hasLoaded = false
  /** Tokens left in the phase, at the machine's last look. */
  left = 0
  slot = -1

  constructor(
    request: Request,
    machine: number,
    sentMs: number,
    promptTokens: number,
    outputTokens: number,
    isForeign: boolean,
  ) {
    this.request = request
    this.machine = machine
    this.sentMs = sentMs
    this.promptTokens = promptTokens
    this.outputTokens = outputTokens
    this.isForeign = isForeign
  }

  get isOver(): boolean {
    return this.state === 'ended' || this.state === 'failed'
  }

  /** Tokens said so far, as of the machine's last look. */
  get said(): number {
    if (this.state === 'ended') return this.outputTokens
    return this.state === 'speaking' ? Math.floor(this.outputTokens - this.left) : 0
  }

  report(): Report {
    return {
      totalMs: this.endMs - this.sentMs,
      loadMs: this.grantedMs - this.sentMs,
      promptTokens: this.promptTokens,
      promptMs: this.firstMs - this.seatedMs,
      outputTokens: this.outputTokens,
      outputMs: this.endMs - this.firstMs,
    }
  }
}
