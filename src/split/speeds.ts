/** What older samples count when a new one comes: a machine that others begin to use is noticed within a few parts. */
const keptShare = 0.7
/** More pairs than this are nobody's fleet; the one unused longest is forgotten. */
const pairsMax = 10_000

interface Row {
  units: number
  ms: number
}

interface AnswersRow {
  parts: number
  answers: number
}

/** What one token takes at a machine. */
export interface TokenTimes {
  /** Milliseconds for one of the prompt, and for one of the answer. */
  readonly readMs: number
  readonly writeMs: number
}

/** A part of a text that was answered. */
export interface AnsweredPart {
  readonly tokens: number
  /** Undefined: the backend did not count. */
  readonly answerTokens: number | undefined
  /** On the seat, without the loading of the model. */
  readonly workMs: number
}

/**
 * How fast a seat works off what it is given: one moving average for each (backend, model), learned from answers, in
 * which large parts count more than small ones, for a small one is mostly its way there and back. A unit is whatever
 * the work of that model is counted in: tokens of a prompt, bytes of texts to embed.
 *
 * What a token takes at a machine routing learns from every answer there is; where it knows, its word holds for the
 * parts of a text, and only how much a part is answered, for each of its tokens, is learned here. What comes with every
 * part is read once and is in the cache from then on, so that it does not count.
 */
export class Speeds {
  readonly #learned = new Map<string, Row>()
  readonly #hints = new Map<string, Row>()
  /** By model: tokens of parts, and of their answers. */
  readonly #answers = new Map<string, AnswersRow>()
  readonly #timesAt: (backend: string, model: string) => TokenTimes | undefined

  constructor(timesAt: (backend: string, model: string) => TokenTimes | undefined = nobodyKnows) {
    this.#timesAt = timesAt
  }

  /** `servedMs` on a seat, without the loading of the model, for so many units of work. */
  learn(backend: string, model: string, units: number, servedMs: number): void {
    if (!isSample(units, servedMs)) return
    const before = this.#learned.get(keyOf(backend, model)) ?? { units: 0, ms: 0 }
    keep(this.#learned, keyOf(backend, model), {
      units: before.units * keptShare + units,
      ms: before.ms * keptShare + servedMs,
    })
  }

  /** Undefined: it has not answered yet. */
  unitsPerMs(backend: string, model: string): number | undefined {
    return ratio(this.#learned.get(keyOf(backend, model)))
  }

  /** A part of a text was answered there. */
  learnPart(backend: string, model: string, { tokens, answerTokens, workMs }: AnsweredPart): void {
    const isCounted = answerTokens !== undefined && isSample(tokens, answerTokens)
    if (isCounted) {
      const before = this.#answers.get(model) ?? { parts: 0, answers: 0 }
      keep(this.#answers, model, {
        parts: before.parts * keptShare + tokens,
        answers: before.answers * keptShare + answerTokens,
      })
    }
    if (!isCounted || !this.#timesAt(backend, model)) this.learn(backend, model, tokens, workMs)
  }

  /** What a part of so many tokens takes there; undefined: nobody knows. */
  expectedMs(backend: string, model: string, tokens: number): number | undefined {
    const answers = this.#answers.get(model)
    const times = answers && this.#timesAt(backend, model)
    if (times) return tokens * (times.readMs + (answers.answers / answers.parts) * times.writeMs)
    const speed = this.unitsPerMs(backend, model)
    return speed === undefined ? undefined : tokens / speed
  }

  /** A first idea, from a few short texts: good for an order, not for a large part. */
  learnHint(backend: string, model: string, units: number, servedMs: number): void {
    if (isSample(units, servedMs)) keep(this.#hints, keyOf(backend, model), { units, ms: servedMs })
  }

  hint(backend: string, model: string): number | undefined {
    return ratio(this.#hints.get(keyOf(backend, model)))
  }

  /** It may come back as another machine. */
  forget(backend: string): void {
    for (const rows of [this.#learned, this.#hints])
      for (const key of rows.keys()) if (key.startsWith(`${backend}\n`)) rows.delete(key)
  }
}

function nobodyKnows(): undefined {
  return undefined
}

function isSample(units: number, ms: number): boolean {
  return units > 0 && ms > 0 && Number.isFinite(units / ms)
}

function ratio(row: Row | undefined): number | undefined {
  return row && row.units / row.ms
}

function keep<R>(rows: Map<string, R>, key: string, row: R): void {
  rows.delete(key)
  rows.set(key, row)
  if (rows.size > pairsMax) rows.delete(rows.keys().next().value as string)
}

function keyOf(backend: string, model: string): string {
  return `${backend}\n${model}`
}
