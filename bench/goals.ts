import { figure } from './lib/table.ts'

/** What is promised, and what was found of it in this run. */
export interface Goal {
  readonly promise: string
  readonly bound: number
  readonly better: 'higher' | 'lower'
  readonly found: number
  readonly unit: string
  readonly digits: number
}

/** One line per goal: reached, or by how far not. */
export function verdict(goal: Goal): string {
  const { promise, bound, better, found, unit, digits } = goal
  const sign = better === 'higher' ? '≥' : '≤'
  const wanted = `${promise} ${sign} ${figure(bound, digits)} ${unit}`
  if (!Number.isFinite(found)) return `not measured  ${wanted}`
  const got = `${figure(found, digits)} ${unit}`
  if (better === 'higher' ? found >= bound : found <= bound)
    return `reached       ${wanted}: ${got}`
  const off = Math.abs(found / bound - 1) * 100
  return `NOT REACHED   ${wanted}: ${got}, off by ${figure(off)} %`
}
