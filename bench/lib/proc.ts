import { readdirSync, readFileSync } from 'node:fs'

/**
 * CPU seconds that a process, its threads and its children have used so far, from the scheduler's own count in
 * nanoseconds: `times` in /proc/PID/stat counts whole ticks of 10 ms. Not a number where there is no /proc.
 */
export function cpuSeconds(pid: number): number {
  let ns = 0
  for (const each of family(pid))
    for (const task of entries(`/proc/${each}/task`))
      ns += Number(text(`/proc/${each}/task/${task}/schedstat`).split(' ', 1)[0])
  return ns === 0 ? Number.NaN : ns / 1e9
}

/** Resident memory of a process and its children. */
export function residentBytes(pid: number): number {
  let kibibytes = 0
  for (const each of family(pid))
    kibibytes += Number(/^VmRSS:\s*(\d+)/m.exec(text(`/proc/${each}/status`))?.[1] ?? 0)
  return kibibytes === 0 ? Number.NaN : kibibytes * 1024
}

/** The process and all that came from it. */
export function family(pid: number): number[] {
  const children = entries(`/proc/${pid}/task`).flatMap((task) =>
    text(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(family)]
}

// A thread may end between the listing and the reading; it then counts as nothing.
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
