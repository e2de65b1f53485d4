import { Failure } from '../../core/failure.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Costs } from '../../routing/costs/costs.ts'
import { blankRates } from '../../routing/costs/rates.ts'
import { weightsKey } from '../../routing/costs/sample.ts'
import { type Advice, type Advised, advise } from '../../routing/residency/advice.ts'
import type { Keeper, KeeperDoors } from './keeper.ts'

export interface OptimizerDoors
  extends Pick<KeeperDoors, 'pool' | 'clock' | 'residency' | 'settings' | 'times'> {
  readonly keeper: Keeper
  readonly costs: Costs
}

/** An advice that was followed, or could not be. */
export interface Applied {
  readonly advice: Advice
  readonly done: boolean
  readonly note: string
}

/** Looks at all that was learned and says what would help; does what can be done from here. */
export class Optimizer {
  readonly #doors: OptimizerDoors
  #isApplying = false

  constructor(doors: OptimizerDoors) {
    this.#doors = doors
  }

  advise(): Advice[] {
    const { pool, clock, residency, keeper } = this.#doors
    keeper.look()
    const moves = residency.suggest(clock.now())
    const worths = residency.worths(clock.now())
    return advise(
      moves,
      pool.endpoints.map((endpoint) => this.#advised(endpoint, worths.get(endpoint.name) ?? 0)),
    )
  }

  /** Follows what is safe, one backend at a time: the fleet goes on serving meanwhile. */
  async apply(advice: readonly Advice[]): Promise<Applied[]> {
    if (this.#isApplying)
      throw new Failure('optimizing', 'somebody else has the fleet optimized at this moment')
    this.#isApplying = true
    try {
      const applied: Applied[] = []
      for (const each of advice) applied.push(await this.#follow(each))
      return applied
    } finally {
      this.#isApplying = false
    }
  }

  async #follow(advice: Advice): Promise<Applied> {
    const { pool, residency, keeper, clock } = this.#doors
    const endpoint = pool.endpoint(advice.backend)
    // A reload has come in between.
    if (!endpoint) return { advice, done: false, note: 'it is no backend any more' }
    if (!advice.safe || advice.model === undefined)
      return { advice, done: false, note: 'this is for an operator to do' }
    if (advice.kind === 'unload') {
      await keeper.unload(endpoint, advice.model)
      const gone = !endpoint.residentAs(advice.model)
      return { advice, done: gone, note: gone ? 'unloaded' : 'it is still in memory there' }
    }
    const move = residency
      .suggest(clock.now())
      .find(({ host, model }) => host === advice.backend && model === advice.model)
    // The world has moved on since it was advised, or the load before this one has changed it.
    if (!move) return { advice, done: false, note: 'it would not help any more' }
    residency.order(move)
    const loaded = await keeper.load(endpoint, advice.model, 'optimize')
    if (loaded.kind === 'loaded') return { advice, done: true, note: 'loaded' }
    const { outcome } = loaded
    return {
      advice,
      done: false,
      note: 'text' in outcome ? outcome.text : 'the load came to nothing',
    }
  }

  #advised(endpoint: Endpoint, worthS: number): Advised {
    const { clock, residency, settings, costs, times } = this.#doors
    const nowMs = clock.now()
    const { name, tally } = endpoint
    const pins = settings.residency.pins[name] ?? []
    const rates = blankRates()
    const fixedSeats = [...endpoint.seatRows()]
      .filter(({ model, used, limit, learned }) => {
        const served = endpoint.model(model)
        return !learned && used >= limit && served?.resident === true && !served.embeddingOnly
      })
      .map(({ model, limit }) => {
        const served = endpoint.model(model)
        const weights = weightsKey(served?.digest, model, '')
        costs.ratesOf(rates, { endpoint: name, weights, sizeBytes: served?.sizeBytes })
        return {
          model,
          seats: limit,
          slope: rates.decodeSlope,
          serviceS: times.serviceS(name, model, limit),
          perSecond: residency.perSecond(model, nowMs) / Math.max(1, residency.copiesOf(model)),
        }
      })
    return {
      name,
      serves: endpoint.enabled && endpoint.ready && endpoint.admitting,
      loadsHang: endpoint.loadsHang,
      idle: [...endpoint.inMemory.values()]
        .filter(({ canonical }) => (endpoint.model(canonical)?.seatsUsed ?? 0) === 0)
        .map(({ canonical, sizeVramBytes, sizeBytes }) => ({
          model: canonical,
          bytes: sizeVramBytes || sizeBytes,
          unaskedS: (nowMs - residency.lastAskedMs(canonical)) / 1_000,
          pinned: pins.includes(canonical),
        })),
      isTight: endpoint.memory.isTight,
      fixedSeats,
      answered: tally.answered,
      failed: tally.failed,
      tookS: (tally.tookMs.value ?? 0) / 1_000,
      worthS,
    }
  }
}
