/**
 * Who says no, which shows in the type of the answer, in its newline and in its framing: a compatible layer in front of
 * the handler, the handler, or the engine when a stream was about to begin.
 */
export type RefusalSource = 'layer' | 'handler' | 'stream'

/** The simulated server says no: a status and a text, which each family of clients gets in its own shape. */
export class Refusal extends Error {
  readonly status: number
  readonly more: Readonly<Record<string, string>>
  readonly from: RefusalSource

  constructor(
    status: number,
    text: string,
    more: Readonly<Record<string, string>> = {},
    from: RefusalSource = 'handler',
  ) {
    super(text)
    this.status = status
    this.more = more
    this.from = from
  }
}

/** The same words, said from another place. */
function moved(refusal: Refusal, from: RefusalSource): Refusal {
  return new Refusal(refusal.status, refusal.message, refusal.more, from)
}

/** Runs what a compatible layer does with a request before the handler sees it. */
export function inLayer<Result>(read: () => Result): Result {
  try {
    return read()
  } catch (failure) {
    throw failure instanceof Refusal ? moved(failure, 'layer') : failure
  }
}

/** The failure of an answer that was to be a stream and has not begun. */
export function inStream(failure: unknown): Refusal {
  return failure instanceof Refusal
    ? moved(failure, 'stream')
    : new Refusal(500, failure instanceof Error ? failure.message : String(failure), {}, 'stream')
}

/** The client is gone; nobody reads what would be said. */
export function clientLeft(): Refusal {
  return new Refusal(499, 'request canceled')
}

/** What is said of an engine that dies before its first word. */
export const runnerStopped =
  'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details'

/** And of one that dies after it. */
export const engineBroke = 'an error was encountered while running the model: unexpected EOF'
