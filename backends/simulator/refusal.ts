/** The simulated server says no: a status and a text, which each family of clients gets in its own shape. */
export class Refusal extends Error {
  readonly status: number
  readonly more: Readonly<Record<string, string>>

  constructor(status: number, text: string, more: Readonly<Record<string, string>> = {}) {
    super(text)
    this.status = status
    this.more = more
  }
}

/** The client is gone; nobody reads what would be said. */
export function clientLeft(): Refusal {
  return new Refusal(499, 'request canceled')
}

export const runnerStopped =
  'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details'
