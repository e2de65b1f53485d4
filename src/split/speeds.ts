/** What older samples count when a new one comes: a machine that others begin to use is noticed within a few parts. */
const keptShare = 0.7
/** More pairs than this are nobody's fleet; the one unused longest is forgotten. */
const pairsMax = 10_000

interface Row {
  units: number
  ms: number
}

/**
 * How fast a seat works off what it is given: one moving average for each (backend, model), learned from answers, in
 * which large parts count more than small ones, for a small one is mostly its way there and back. A unit is whatever
 * the work of that model is counted in: tokens of a prompt, bytes of texts to embed. Whatever predicts better may stand
 * in its place, as long as it answers the same questions.
 */
export class Speeds {
  readonly #learned = new Map<string, Row>()
  readonly #hints = new Map<string, Row>()

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

  expectedMs(backend: string, model: string, units: number): number | undefined {
    const speed = this.unitsPerMs(backend, model)
    return speed === undefined ? undefined : units / speed
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

function isSample(units: number, ms: number): boolean {
  return units > 0 && ms > 0 && Number.isFinite(units / ms)
}

function ratio(row: Row | undefined): number | undefined {
  return row && row.units / row.ms
}

function keep(rows: Map<string, Row>, key: string, row: Row): void {
  rows.delete(key)
  rows.set(key, row)
  if (rows.size > pairsMax) rows.delete(rows.keys().next().value as string)
}

function keyOf(backend: string, model: string): string {
  return `${backend}\n${model}`
}
