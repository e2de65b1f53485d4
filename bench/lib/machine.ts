import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { delimiter, join } from 'node:path'

/** The one under test has a core to itself; the upstream and the load share the other. */
export const proxyCpu = 0
export const loadCpu = 1

/** Where a program is, or undefined. Debian keeps servers in /usr/sbin, which is not on everybody's PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, name)).find(isExecutable)
}

/** Runs a program that only says something about itself. */
export function says(program: string, args: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: 5_000 })
  return `${done.stdout ?? ''}${done.stderr ?? ''}`
}

/** The program that pins, where there is one and both cores may be used. */
export const taskset = findPinner()

/** This process and all that it starts leave the core of the one under test alone. */
export function leaveProxyCpu(): void {
  if (taskset) spawnSync(taskset, ['-a', '-c', '-p', `${loadCpu}`, `${process.pid}`])
}

export function describeMachine(): string[] {
  const cores = cpus()
  return [
    `${cores.length} cores, ${cores[0]?.model ?? 'of unknown make'}; ${Math.round(totalmem() / 2 ** 30)} GiB; ${process.platform} ${release()}`,
    `Node ${process.version}`,
    taskset
      ? `the one under test on cpu ${proxyCpu}, upstream and load on cpu ${loadCpu}`
      : 'not pinned (no taskset, or fewer than two cores): figures vary more',
  ]
}

/** Others may work on this machine: what figures are worth depends on it. */
export function loadNow(): string {
  return `load average ${loadavg()
    .map((each) => each.toFixed(1))
    .join(' ')}`
}

function findPinner(): string | undefined {
  const program = findProgram('taskset')
  if (!program) return undefined
  const allowed = [proxyCpu, loadCpu].every(
    (cpu) => spawnSync(program, ['-c', `${cpu}`, 'true'], { timeout: 5_000 }).status === 0,
  )
  return cpus().length > 1 && allowed ? program : undefined
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
