import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

/** What the log of decisions lacks. */
export function decisionMetrics({ counter }: MakeSeries): Partial<Observer> {
  const dropped = counter(
    'chasqui_decision_log_dropped_total',
    'Decisions that came faster than they could be written, or after the file had failed',
    [],
  )
  return {
    decisionsDropped(count) {
      dropped.row().value += count
    },
  }
}
