import type { GpuReport } from '../../../src/core/load-report.ts'
import {
  ioregArguments,
  nvidiaArguments,
  profilerArguments,
  readMacGpus,
  readNvidiaSmi,
  readRocmSmi,
  rocmArguments,
} from './gpus.ts'
import type { RunProgram } from './program.ts'

export interface GpusSeen {
  readonly gpus: readonly GpuReport[]
  /** Why there is nothing, or not everything. */
  readonly absent: string | undefined
}

/** Asks the tool of whichever maker is there. What no tool tells is not guessed. */
export async function lookAtGpus(platform: NodeJS.Platform, run: RunProgram): Promise<GpusSeen> {
  return platform === 'darwin' ? await onMac(run) : await byTools(run)
}

async function byTools(run: RunProgram): Promise<GpusSeen> {
  const [nvidia, rocm] = await Promise.all([
    run('nvidia-smi', nvidiaArguments),
    run('rocm-smi', rocmArguments),
  ])
  const gpus = [
    ...(nvidia.ok ? readNvidiaSmi(nvidia.text) : []),
    ...(rocm.ok ? readRocmSmi(rocm.text) : []),
  ]
  if (gpus.length > 0) return { gpus, absent: undefined }
  const reasons = [
    nvidia.ok ? 'nvidia-smi: names no card' : nvidia.why,
    rocm.ok ? 'rocm-smi: names no card' : rocm.why,
  ]
  return { gpus, absent: reasons.join('; ') }
}

async function onMac(run: RunProgram): Promise<GpusSeen> {
  const [profiler, ioreg] = await Promise.all([
    run('system_profiler', profilerArguments),
    run('ioreg', ioregArguments),
  ])
  if (!profiler.ok) return { gpus: [], absent: profiler.why }
  const { gpus, isUnified } = readMacGpus(profiler.text, ioreg.ok ? ioreg.text : undefined)
  if (gpus.length === 0) return { gpus, absent: 'system_profiler: names no card' }
  return {
    gpus,
    absent: isUnified ? 'unified memory: the cards use that of the machine' : undefined,
  }
}
