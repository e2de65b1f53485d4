/** A number that is cheap to change; read when somebody scrapes. */
export interface Tally {
  value: number
}

/** How often values fell under each bound. */
export class Spread {
  readonly bounds: readonly number[]
  /** One more than there are bounds: the last counts what was beyond. */
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Array<number>(bounds.length + 1).fill(0)
  }

  observe(value: number): void {
    const { bounds } = this
    let at = 0
    while (at < bounds.length && value > bounds[at]!) at++
    this.counts[at]!++
    this.sum += value
    this.count++
  }
}

type Labels = Readonly<Record<string, string>>
interface Shown {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName?: string
}

/**
 * Series of one name for the hot path. The library looks a series up by its labels at every change, and that costs more
 * than the rest of an exchange's end; here whoever counts keeps the row, and only a scrape makes text of it.
 */
abstract class Series<Row> {
  readonly name: string
  readonly help: string
  readonly aggregator = 'sum'
  abstract readonly type: string
  readonly #labelNames: readonly string[]
  readonly #rows = new Map<string, { labels: Labels; row: Row }>()

  constructor(name: string, help: string, labelNames: readonly string[]) {
    this.name = name
    this.help = help
    this.#labelNames = labelNames
  }

  /** The row with these values of the labels, in the order of their names; made where there is none. */
  row(...values: readonly string[]): Row {
    const key = values.join('\0')
    let found = this.#rows.get(key)
    if (!found) {
      const labels = Object.fromEntries(this.#labelNames.map((name, at) => [name, values[at]!]))
      found = { labels, row: this.fresh() }
      this.#rows.set(key, found)
    }
    return found.row
  }

  /** Forgets all rows: for what is only true at a moment. */
  clear(): void {
    this.#rows.clear()
  }

  /** What a registry asks of a metric, beside its name. */
  async get(): Promise<object> {
    const { name, help, type, aggregator } = this
    const values = [...this.#rows.values()].flatMap(({ labels, row }) => this.shown(labels, row))
    return { name, help, type, aggregator, values }
  }

  protected abstract fresh(): Row
  protected abstract shown(labels: Labels, row: Row): Shown[]
}

/** Anything with a name that a registry can show. */
export type AnySeries = Series<Tally> | Series<Spread>

export class Tallies extends Series<Tally> {
  readonly type: 'counter' | 'gauge'

  constructor(type: 'counter' | 'gauge', ...series: ConstructorParameters<typeof Series<Tally>>) {
    super(...series)
    this.type = type
  }

  protected fresh(): Tally {
    return { value: 0 }
  }

  protected shown(labels: Labels, { value }: Tally): Shown[] {
    return [{ labels, value }]
  }
}

export class Spreads extends Series<Spread> {
  readonly type = 'histogram'
  readonly #bounds: readonly number[]

  constructor(bounds: readonly number[], ...series: ConstructorParameters<typeof Series<Spread>>) {
    super(...series)
    this.#bounds = bounds
  }

  protected fresh(): Spread {
    return new Spread(this.#bounds)
  }

  protected shown(labels: Labels, { counts, sum, count }: Spread): Shown[] {
    let below = 0
    const buckets = [...this.#bounds, '+Inf'].map((le, at) => {
      below += counts[at]!
      return { labels: { le, ...labels }, value: below, metricName: `${this.name}_bucket` }
    })
    return [
      ...buckets,
      { labels, value: sum, metricName: `${this.name}_sum` },
      { labels, value: count, metricName: `${this.name}_count` },
    ]
  }
}

/** Makes series that a scrape will show; label values are given in the order of these names. */
export interface MakeSeries {
  counter(name: string, help: string, labelNames: readonly string[]): Tallies
  gauge(name: string, help: string, labelNames: readonly string[]): Tallies
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    bounds: readonly number[],
  ): Spreads
}
