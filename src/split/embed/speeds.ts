/** What older samples count when a new one comes. */
const keptShare = 0.7
/** Backends times models; the oldest are forgotten first. */
const rowsMax = 4_096

interface Row {
  weight: number
  ms: number
}

/**
 * How fast a machine embeds with a model: bytes of weight a millisecond, of one part at a time, as a moving average in
 * which long parts count more than short ones. A short part is mostly its way there and back.
 */
export class EmbedSpeeds {
  readonly #rows = new Map<string, Row>()
  readonly #hints = new Map<string, number>()

  /** Undefined: no part has shown it yet. */
  of(backend: string, digest: string): number | undefined {
    const row = this.#rows.get(keyOf(backend, digest))
    return row && row.weight / row.ms
  }

  /** A first idea, from a probe of a few short texts: good for an order, not for a large part. */
  hint(backend: string, digest: string): number | undefined {
    return this.#hints.get(keyOf(backend, digest))
  }

  addHint(backend: string, digest: string, weight: number, ms: number): void {
    if (!(weight > 0) || !(ms > 0)) return
    this.#hints.set(keyOf(backend, digest), weight / ms)
    if (this.#hints.size > rowsMax) this.#hints.delete(this.#hints.keys().next().value!)
  }

  /** It may come back as another machine. */
  forget(backend: string): void {
    for (const rows of [this.#rows, this.#hints])
      for (const key of rows.keys()) if (key.endsWith(` ${backend}`)) rows.delete(key)
  }

  add(backend: string, digest: string, weight: number, ms: number): void {
    if (!(weight > 0) || !(ms > 0) || !Number.isFinite(weight / ms)) return
    const key = keyOf(backend, digest)
    const before = this.#rows.get(key) ?? { weight: 0, ms: 0 }
    this.#rows.delete(key)
    this.#rows.set(key, {
      weight: before.weight * keptShare + weight,
      ms: before.ms * keptShare + ms,
    })
    if (this.#rows.size > rowsMax) this.#rows.delete(this.#rows.keys().next().value!)
  }
}

/** Backend names have no space. */
const keyOf = (backend: string, digest: string) => `${digest} ${backend}`
