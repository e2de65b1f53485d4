import type { Outcome } from '../core/outcome.ts'
import type { Endpoint } from '../pool/endpoint.ts'

/**
 * A runner's death is only held against its backend when the request turns out not to be the killer: when another
 * backend answers it, or nobody is left to ask.
 */
export class Suspect {
  readonly #model: string
  #endpoint: Endpoint | undefined
  #outcome: Outcome | undefined

  constructor(model: string) {
    this.#model = model
  }

  /** The last death; the one before was the backend's own, since the request has not killed twice. */
  holds(endpoint: Endpoint, outcome: Outcome): void {
    this.blame()
    this.#endpoint = endpoint
    this.#outcome = outcome
  }

  blame(): void {
    if (this.#outcome) this.#endpoint?.judge(this.#model, this.#outcome, 'bad')
    this.acquit()
  }

  /** It was the request. */
  acquit(): void {
    this.#endpoint = undefined
    this.#outcome = undefined
  }
}
