import type { Clock } from '../../core/clock.ts'
import type { Pool } from '../../pool/pool.ts'
import { type Costs, secondsOf } from '../../routing/costs/costs.ts'
import { blankRates } from '../../routing/costs/rates.ts'
import { type ServedBy, weightsKey } from '../../routing/costs/sample.ts'
import type { Times } from '../../routing/residency/host.ts'

/** Times, and what is seen of loads, for those to come. */
export interface LearnedTimes extends Times {
  loaded(host: string, model: string, seconds: number): void
  /** It left the memory: the next load finds its file in the page cache. */
  unloaded(host: string, model: string): void
}

/** How long loads and requests take, as routing has learned it. */
export function timesFrom(pool: Pool, learned: () => Costs, clock: Clock): LearnedTimes {
  const rates = blankRates()
  const servedBy = (host: string, model: string): ServedBy => {
    const served = pool.endpoint(host)?.model(model)
    return {
      endpoint: host,
      weights: weightsKey(served?.digest, model, ''),
      sizeBytes: served?.sizeBytes,
    }
  }
  return {
    loaded: (host, model, seconds) =>
      learned().learnLoad(servedBy(host, model), seconds, clock.now()),
    unloaded: (host, model) => learned().unloaded(host, servedBy(host, model).weights, clock.now()),
    loadS: (host, model) => learned().loadS(servedBy(host, model), clock.now()),
    serviceS(host, model, streams) {
      const costs = learned()
      costs.ratesOf(rates, servedBy(host, model))
      return secondsOf(costs.usualOf(model), rates, Math.max(1, streams))
    },
  }
}
