import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

/** Answers that broke off in the middle, and what became of them elsewhere. */
export function continueMetrics({ counter }: MakeSeries): Partial<Observer> {
  const continuations = counter(
    'chasqui_continuations_total',
    'Later legs of answers that had broken off',
    ['from_backend', 'method', 'result'],
  )
  return {
    continued({ from, method, result }) {
      continuations.row(from, method, result).value++
    },
  }
}
