import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

/** Answers that broke off or were interrupted in the middle, and what became of them elsewhere. */
export function continueMetrics({ counter, histogram }: MakeSeries): Partial<Observer> {
  const continuations = counter(
    'chasqui_continuations_total',
    'Later legs of answers that had broken off or given way',
    ['from_backend', 'method', 'result'],
  )
  const paused = histogram(
    'chasqui_continuation_gap_seconds',
    'From the break of an answer to the request for its rest, with any wait for a seat and load',
    [],
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120],
  ).row()
  const interruptions = counter(
    'chasqui_gave_way_total',
    'Batch answers that gave their seat to a person, to go on later',
    ['backend'],
  )
  return {
    gaveWay(backend) {
      interruptions.row(backend).value++
    },
    continued({ from, method, result, afterMs }) {
      paused.observe(afterMs / 1_000)
      continuations.row(from, method, result).value++
    },
  }
}
