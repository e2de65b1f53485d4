import { exit } from './exit-codes.ts'
import { callProxy } from './remote.ts'
import { data, say } from './talk.ts'

interface Worker {
  readonly id: string
  readonly status: string
  readonly state: string
  readonly reason: string
  readonly kind: string
  readonly how: string
  readonly url: string
  readonly running: number
  readonly models: readonly string[]
}

/** `chasqui backend list`: who serves, and who waits to be accepted. */
export async function listWorkers(
  url: string,
  asJson: boolean,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const called = await callProxy(url, '/api/workers', env)
  if (!called.ok) return called.code
  const { workers } = (called.body ?? {}) as { workers?: readonly Worker[] }
  if (!Array.isArray(workers)) {
    say(`chasqui: what answers at ${url} is no Chasqui`)
    return exit.failed
  }
  if (asJson) {
    data(JSON.stringify(called.body))
    return exit.done
  }
  if (workers.length === 0) say('chasqui: there are no backends yet')
  const rows = (workers as readonly Worker[]).map((worker) => [
    worker.id,
    worker.state + (worker.reason === '' ? '' : ` (${worker.reason})`),
    worker.kind === 'agent' ? 'agent' : `plain, ${worker.how}`,
    worker.url,
    `${worker.running} running`,
    `${worker.models.length} models`,
  ])
  for (const line of inColumns(rows)) data(line)
  return exit.done
}

/** As wide as their widest cell, but for the last. */
export function inColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (before, row) => row.map((cell, at) => Math.max(cell.length, before[at] ?? 0)),
    [],
  )
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
