import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

/** The numbers of what is kept in memory where. */
export function residencyMetrics({ counter, gauge }: MakeSeries): Partial<Observer> {
  const moves = counter('chasqui_residency_moves_total', 'Models loaded ahead, or pushed out', [
    'backend',
    'what',
    'why',
  ])
  const hung = gauge('chasqui_backend_loads_hang', 'Loads hang there: only what is loaded serves', [
    'backend',
  ])
  return {
    residencyMoved(backend, _model, what, why) {
      moves.row(backend, what, why).value++
    },
    loadsHung(backend, _model, hang) {
      hung.row(backend).value = hang ? 1 : 0
    },
  }
}
