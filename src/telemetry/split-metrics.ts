import type { Observer } from '../core/observer.ts'
import type { MakeSeries } from './series.ts'

const partsBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096, 16_384]
const tokensBuckets = [16, 64, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 65_536]
const secondsBuckets = [
  0.01, 0.04, 0.16, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 163.84, 655.36,
]
const speedupBuckets = [0.5, 0.9, 1.1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32, 64]

/** The numbers of split mode, in the words of its requests. */
export function splitMetrics({ counter, histogram }: MakeSeries): Partial<Observer> {
  const runs = counter('chasqui_split_runs_total', 'Split runs that have ended', [
    'by',
    'combine',
    'outcome',
  ])
  const parts = histogram('chasqui_split_parts', 'Parts of a run', ['by', 'combine'], partsBuckets)
  const tokens = histogram(
    'chasqui_split_part_tokens',
    'What a part weighed, as estimated',
    ['stage'],
    tokensBuckets,
  )
  const took = histogram(
    'chasqui_split_part_duration_seconds',
    'A part on its seat',
    ['backend', 'stage'],
    secondsBuckets,
  )
  const speedup = histogram(
    'chasqui_split_speedup_ratio',
    'Sum of the parts over wall time',
    ['by', 'combine'],
    speedupBuckets,
  )
  const straggler = histogram(
    'chasqui_split_straggler_seconds',
    "The last part's end after the middle one's",
    [],
    secondsBuckets,
  )
  const retries = counter(
    'chasqui_split_part_retries_total',
    'Parts asked again: failed elsewhere, or hedged',
    ['reason'],
  )
  return {
    partTurned({ state, backend, stage, tookMs, tokens: weight }) {
      if (state === 'answered') {
        took.row(backend, stage).observe(tookMs / 1_000)
        tokens.row(stage).observe(weight)
      }
      if (state === 'retried' || state === 'hedged') retries.row(state).value++
    },
    splitEnded({ by, combine, outcome, parts: count, wallMs, workMs, stragglerMs }) {
      runs.row(by, combine, outcome).value++
      parts.row(by, combine).observe(count)
      if (outcome !== 'ok' && outcome !== 'partial') return
      if (wallMs > 0) speedup.row(by, combine).observe(workMs / wallMs)
      straggler.row().observe(stragglerMs / 1_000)
    },
  }
}
