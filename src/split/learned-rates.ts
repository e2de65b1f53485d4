import type { Pool } from '../pool/pool.ts'
import type { Costs } from '../routing/costs/costs.ts'
import { blankRates, decodeSAt, prefillSAt } from '../routing/costs/rates.ts'
import { weightsKey } from '../routing/costs/sample.ts'
import { errorOfGuess } from '../routing/costs/slope.ts'
import type { TokenTimes } from './speeds.ts'

/**
 * What routing has learned of a machine, for parts that take all of its seats, as those of a run do. Undefined where it
 * only guesses one of the two speeds, as from too short prompts, or does not trust its predictions for the model.
 */
export function learnedRates(
  pool: Pool,
  costs: Costs,
): (backend: string, model: string) => TokenTimes | undefined {
  const rates = blankRates()
  return (backend, model) => {
    const endpoint = pool.endpoint(backend)
    const served = endpoint?.model(model)
    if (!endpoint || !served || served.remote || costs.distrust(model) !== undefined)
      return undefined
    const { digest, sizeBytes } = served
    const weights = weightsKey(digest, model, '')
    costs.ratesOf(rates, { endpoint: backend, weights, sizeBytes })
    // What is measured has an error of its own, never just this one.
    const isGuess = rates.prefillError === errorOfGuess || rates.decodeError === errorOfGuess
    if (rates.samples === 0 || isGuess) return undefined
    const streams = endpoint.seatsOf(served).limit
    return {
      readMs: 1_000 * prefillSAt(rates, streams),
      writeMs: 1_000 * decodeSAt(rates, streams),
    }
  }
}
