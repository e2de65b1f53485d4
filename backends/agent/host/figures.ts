import { existsSync } from 'node:fs'
import { readFile, statfs } from 'node:fs/promises'
import { cpus, freemem, homedir, loadavg, totalmem } from 'node:os'
import type { Clock } from '../../../src/core/clock.ts'
import type { LoadReport } from '../../../src/core/load-report.ts'
import { type CpuTimes, cpuTimes, cpuUse } from './cpu.ts'
import { lookAtGpus } from './look-at-gpus.ts'
import { readMeminfo, readVmStat } from './memory.ts'
import { modelsDirOf } from './models-dir.ts'
import type { RunProgram } from './program.ts'

export type HostFigures = Pick<
  LoadReport,
  'cpu' | 'memory' | 'disk' | 'models_dir' | 'gpus' | 'absent'
>

export interface HostDoors {
  readonly clock: Clock
  readonly platform: NodeJS.Platform
  readonly run: RunProgram
  /** What the Ollama was told, or tells: OLLAMA_MODELS. */
  readonly modelsDir: () => string | undefined
  /** The Ollama runs on this machine: its files are here. */
  readonly isHere: boolean
}

/** Programs are run at most so often, however many ask. */
const keptMs = 5_000

/** What this machine says of itself. Whoever asks shares a look that is under way, or a fresh one. */
export class Host {
  readonly #doors: HostDoors
  #cpuBefore: CpuTimes
  #looking: Promise<HostFigures> | undefined
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(doors: HostDoors) {
    this.#doors = doors
    this.#cpuBefore = cpuTimes(cpus())
  }

  figures(): Promise<HostFigures> {
    const now = this.#doors.clock.now()
    if (this.#looking && now - this.#lookedMs < keptMs) return this.#looking
    this.#lookedMs = now
    this.#looking = this.#look()
    return this.#looking
  }

  async #look(): Promise<HostFigures> {
    const { platform, run } = this.#doors
    const [memory, disk, seen] = await Promise.all([
      this.#memory(),
      this.#disk(),
      lookAtGpus(platform, run),
    ])
    const absent: Record<string, string> = { ...disk.absent }
    if (seen.absent !== undefined) absent['gpu'] = seen.absent
    if (memory.free_bytes === null) absent['memory'] = 'vm_stat: tells no free pages'
    return {
      cpu: this.#cpu(),
      memory,
      disk: disk.disk,
      models_dir: disk.path ?? null,
      gpus: seen.gpus,
      absent,
    }
  }

  #cpu(): HostFigures['cpu'] {
    const cores = cpus()
    const after = cpuTimes(cores)
    const use = cpuUse(this.#cpuBefore, after)
    this.#cpuBefore = after
    // Windows has no such average, and Node gives nought for it.
    const load1 = this.#doors.platform === 'win32' ? null : (loadavg()[0] ?? null)
    return { cores: cores.length, load1, use }
  }

  async #memory(): Promise<HostFigures['memory']> {
    const { platform, run } = this.#doors
    if (platform === 'linux') {
      const known = readMeminfo(await readFile('/proc/meminfo', 'utf8').catch(() => ''))
      if (known) return { total_bytes: known.totalBytes, free_bytes: known.freeBytes }
    }
    if (platform === 'darwin') {
      const printed = await run('vm_stat', [])
      const free = printed.ok ? readVmStat(printed.text) : undefined
      return { total_bytes: totalmem(), free_bytes: free ?? null }
    }
    return { total_bytes: totalmem(), free_bytes: freemem() }
  }

  async #disk(): Promise<{
    disk: HostFigures['disk']
    path: string | undefined
    absent: Record<string, string>
  }> {
    const { isHere, modelsDir } = this.#doors
    const none = (why: string, path?: string) => ({ disk: null, path, absent: { disk: why } })
    if (!isHere) return none('the Ollama is on another machine')
    const path = modelsDirOf(modelsDir(), homedir(), existsSync)
    if (path === undefined) return none('no directory of models is found: set OLLAMA_MODELS')
    try {
      const { bsize, blocks, bavail } = await statfs(path)
      const disk = { path, total_bytes: blocks * bsize, free_bytes: bavail * bsize }
      return { disk, path, absent: {} }
    } catch {
      return none(`${path} can not be read`, path)
    }
  }
}
