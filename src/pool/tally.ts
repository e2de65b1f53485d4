import { Ewma } from '../core/ewma.ts'

/** How the requests that held a seat at one backend went, since it came into service. */
export class Tally {
  answered = 0
  failed = 0
  /** On their seats, newest counting most. */
  readonly tookMs = new Ewma(0.1)

  add(good: boolean, tookMs: number): void {
    if (!good) {
      this.failed++
      return
    }
    this.answered++
    this.tookMs.add(tookMs)
  }
}
