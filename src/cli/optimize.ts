import { exit } from './exit-codes.ts'
import { askProxy, sayRefusal } from './remote.ts'
import { data } from './talk.ts'

interface Row {
  readonly kind: string
  readonly backend: string
  readonly model: string | null
  readonly unload: readonly string[]
  readonly gain_s_per_hour?: number
  readonly gain_s_per_request?: number
  readonly why: string
  readonly note?: string
}

interface Optimized {
  readonly advice: readonly Row[]
  readonly applied: readonly Row[]
  readonly not_applied: readonly Row[]
}

/** Loads take minutes on slow disks, and are made one after another. */
const applyMsMax = 1_800_000

/** `chasqui optimize`: what would help, and with `--apply` what can be done from here is done. */
export async function optimize(
  url: string,
  { apply, json }: { apply: boolean; json: boolean },
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const path = '/api/distributed/cluster/optimize'
  const asked = await askProxy(url, path, env, 'POST', { body: { apply }, timeoutMs: applyMsMax })
  if (!asked.ok) return asked.code
  if (asked.status !== 200) return sayRefusal(asked.status, asked.body)
  const optimized = asked.body as Optimized
  const isWhole = optimized.not_applied.length === 0
  if (json) data(JSON.stringify(optimized))
  else for (const line of linesOf(optimized, apply)) data(line)
  return isWhole ? exit.done : exit.partlyDone
}

function linesOf({ advice, applied, not_applied: left }: Optimized, apply: boolean): string[] {
  if (advice.length === 0) return ['nothing would help, as far as is known']
  if (!apply) return advice.flatMap((row) => [headOf(row), `    ${row.why}`])
  return [
    ...applied.map((row) => `done: ${headOf(row)}`),
    ...left.flatMap((row) => [`not done: ${headOf(row)}`, `    ${row.note ?? row.why}`]),
  ]
}

function headOf(row: Row): string {
  const model = row.model === null ? '' : ` ${row.model}`
  const unload = row.unload.length === 0 ? '' : ` in place of ${row.unload.join(', ')}`
  const gain =
    row.gain_s_per_hour === undefined
      ? `${row.gain_s_per_request ?? 0} s a request`
      : `${row.gain_s_per_hour} s an hour`
  return `${row.kind}${model} on ${row.backend}${unload} (saves about ${gain})`
}
