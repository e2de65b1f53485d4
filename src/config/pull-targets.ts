import { z } from 'zod'
import type { PullTargets } from '../core/settings.ts'
import { report } from './fault.ts'

const what = 'must be all, fit, or best:N, such as best:2'

export function pullTargets() {
  return z
    .string({ error: what })
    .meta({ pattern: '^(all|fit|best:[1-9][0-9]{0,3})$' })
    .transform((words, context): PullTargets => {
      if (words === 'all' || words === 'fit') return { to: words }
      const count = /^best:([1-9]\d{0,3})$/.exec(words)?.[1]
      if (count === undefined) return report(context, { message: what })
      return { to: 'best', count: Number(count) }
    })
}
