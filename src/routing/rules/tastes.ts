import type { Affinity } from '../affinity/affinity.ts'
import type { Tastes } from '../field.ts'
import { priceS } from './placement.ts'

/** What affinity and rules add to the cost of an endpoint. `isOn`: whether affinity counts, now. */
export function tastesOf(affinity: Affinity, isOn: () => boolean): Tastes {
  return {
    cachedTokens(place, need, nowMs) {
      const { prompt } = need
      if (prompt === undefined || !isOn()) return 0
      // What is not in memory has nothing cached.
      if (place.model(need.model)?.resident !== true) return 0
      return affinity.cachedTokens(place.name, prompt, nowMs)
    },
    priceS: (place, { rules }) => (rules === undefined ? 0 : priceS(rules, place)),
  }
}
