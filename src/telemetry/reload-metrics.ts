import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

/** What becomes of reloads: an old configuration that is still in force is nobody's to find out by chance. */
export function reloadMetrics({ counter, gauge }: MakeSeries): Partial<Observer> {
  const reloads = counter('chasqui_config_reloads_total', 'Reloads of the configuration', [
    'result',
  ])
  const success = gauge(
    'chasqui_config_last_reload_success',
    '0: the newest configuration was refused, and the one before it is in force',
    [],
  ).row()
  success.value = 1
  for (const result of ['applied', 'unchanged', 'refused']) reloads.row(result)
  return {
    reloaded({ result }) {
      reloads.row(result).value++
      success.value = result === 'refused' ? 0 : 1
    },
  }
}
