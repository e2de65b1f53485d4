import { median, summary } from '../lib/stats.ts'
import { figure, table } from '../lib/table.ts'
import type { FaultClass } from './classes.ts'
import type { RowResult } from './row.ts'

export interface TableRow {
  readonly fault: FaultClass
  readonly front: string
  /** Undefined: this front has no such thing. */
  readonly result: RowResult | undefined
}

/** The fronts of one fault stand one below the other. */
export function faultsTable(rows: readonly TableRow[]): string {
  return table(
    [
      'fault',
      'through',
      'sent',
      'identical',
      'honest errors',
      'broken',
      'hung',
      'silent',
      'wrong chars',
      'requests x',
      'x least',
      'gap p50 ms',
      'gap p99 ms',
      'heard ms',
      'own p50 ms',
      'own p99 ms',
      'taken p99 ms',
      'CPU ms each',
    ],
    rows.map(({ fault, front, result }) => [
      fault.name,
      front,
      ...(result ? cellsOf(result) : ['–']),
    ]),
  )
}

function cellsOf(result: RowResult): string[] {
  const { sent, fates, wrongChars, gapMs, goneOn } = result
  const own = ownPause(result)
  return [
    ...[
      sent,
      fates.identical,
      fates.honest,
      fates.broken,
      fates.hung,
      fates.silent,
      wrongChars,
    ].map((value) => figure(value)),
    figure(seenOfSent(result), 2),
    figure(seenOfLeast(result), 2),
    ...[gapMs.p50, gapMs.p99, median(goneOn.map(({ heardMs }) => heardMs)), own.p50, own.p99].map(
      (value) => figure(value),
    ),
    figure(summary(Float64Array.from(goneOn.flatMap(({ takenMs }) => takenMs))).p99),
    figure(median(goneOn.map(({ cpuMsEach }) => cpuMsEach)), 2),
  ]
}

export function ownPause({ goneOn }: RowResult): { readonly p50: number; readonly p99: number } {
  return summary(Float64Array.from(goneOn.flatMap(({ ownMs }) => ownMs)))
}

/** Requests that the backends saw for each that a client sent. */
export function seenOfSent({ seen, sent }: RowResult): number {
  return seen / sent
}

/** The same against the least that gives every client a whole answer: one more for each leg that broke off. */
export function seenOfLeast({ seen, sent, brokenLegs }: RowResult): number {
  return seen / (sent + brokenLegs)
}
