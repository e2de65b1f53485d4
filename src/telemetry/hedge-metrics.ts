import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

/** Requests that were sent a second time because their answer was late to begin. */
export function hedgeMetrics({ counter }: MakeSeries): Partial<Observer> {
  const hedges = counter(
    'chasqui_hedges_total',
    'Second sendings of requests whose answer was late; won: the first byte was theirs',
    ['result'],
  )
  return {
    hedged({ result }) {
      hedges.row(result).value++
    },
  }
}
