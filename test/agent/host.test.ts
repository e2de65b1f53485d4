import { describe, expect, it } from 'vitest'
import { cpuTimes, cpuUse } from '../../backends/agent/host/cpu.ts'
import { Host } from '../../backends/agent/host/figures.ts'
import { readMacGpus, readNvidiaSmi, readRocmSmi } from '../../backends/agent/host/gpus.ts'
import { lookAtGpus } from '../../backends/agent/host/look-at-gpus.ts'
import { readMeminfo, readVmStat } from '../../backends/agent/host/memory.ts'
import { modelsDirOf } from '../../backends/agent/host/models-dir.ts'
import { type Printed, runProgram } from '../../backends/agent/host/program.ts'
import { handClock } from '../help/clock.ts'
import { scratchFolder } from '../help/scratch.ts'

const mebibyte = 1_048_576

const nvidia = `NVIDIA GeForce RTX 3090, 24576, 1202, 37
NVIDIA GeForce GTX 1080, Special, 8192, [N/A], [Not Supported]
`
const rocm = `WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status
{"card0": {"Card Series": "AMD Radeon RX 7900 XTX", "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "GPU use (%)": "12", "VRAM Total Memory (B)": "25753026560", "VRAM Total Used Memory (B)": "1048576"}, "card1": {"GPU use (%)": "N/A"}, "system": {"Driver version": "6.3.6"}}`
const apple = JSON.stringify({
  SPDisplaysDataType: [
    {
      _name: 'Apple M2 Max',
      sppci_cores: '38',
      sppci_model: 'Apple M2 Max',
      spdisplays_vendor: 'sppci_vendor_Apple',
    },
  ],
})
const intelMac = JSON.stringify({
  SPDisplaysDataType: [{ sppci_model: 'AMD Radeon Pro 5500M', spdisplays_vram: '8 GB' }],
})
const ioreg = `+-o AGXAcceleratorG14X  <class AGXAcceleratorG14X, id 0x100000427>
    {
      "PerformanceStatistics" = {"Device Utilization %"=42,"In use system memory"=1234567}
    }`
const vmStat = `Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                                10000.
Pages active:                             400000.
Pages inactive:                            20000.
Pages speculative:                          3000.
Pages wired down:                         100000.
Pages purgeable:                             500.
`

describe('what graphics cards say', () => {
  it('is read from nvidia-smi, what it does not know staying unknown', () => {
    expect(readNvidiaSmi(nvidia)).toEqual([
      {
        name: 'NVIDIA GeForce RTX 3090',
        memory_total_bytes: 24_576 * mebibyte,
        memory_used_bytes: 1_202 * mebibyte,
        use: 0.37,
      },
      {
        name: 'NVIDIA GeForce GTX 1080, Special',
        memory_total_bytes: 8_192 * mebibyte,
        memory_used_bytes: null,
        use: null,
      },
    ])
    expect(readNvidiaSmi('No devices were found\n')).toEqual([])
  })

  it('is read from rocm-smi behind its warnings', () => {
    expect(readRocmSmi(rocm)).toEqual([
      {
        name: 'AMD Radeon RX 7900 XTX',
        memory_total_bytes: 25_753_026_560,
        memory_used_bytes: mebibyte,
        use: 0.12,
      },
      { name: 'card1', memory_total_bytes: null, memory_used_bytes: null, use: null },
    ])
    expect(readRocmSmi('ERROR: no driver')).toEqual([])
  })

  it('is read from macOS, whose unified memory is nobody else’s', () => {
    expect(readMacGpus(apple, ioreg)).toEqual({
      gpus: [
        { name: 'Apple M2 Max', memory_total_bytes: null, memory_used_bytes: null, use: 0.42 },
      ],
      isUnified: true,
    })
    expect(readMacGpus(intelMac, undefined)).toEqual({
      gpus: [
        {
          name: 'AMD Radeon Pro 5500M',
          memory_total_bytes: 8_192 * mebibyte,
          memory_used_bytes: null,
          use: null,
        },
      ],
      isUnified: false,
    })
    expect(readMacGpus('not JSON', ioreg)).toEqual({ gpus: [], isUnified: false })
  })

  it('is missing with the reason of each tool where there is none', async () => {
    const absent = async (name: string): Promise<Printed> => ({
      ok: false,
      why: `${name}: not found`,
    })
    expect(await lookAtGpus('linux', absent)).toEqual({
      gpus: [],
      absent: 'nvidia-smi: not found; rocm-smi: not found',
    })
    expect(await lookAtGpus('darwin', absent)).toEqual({
      gpus: [],
      absent: 'system_profiler: not found',
    })
    const unified = await lookAtGpus('darwin', async (name) =>
      name === 'ioreg' ? { ok: false, why: '' } : { ok: true, text: apple },
    )
    expect(unified.gpus[0]?.use).toBeNull()
    expect(unified.absent).toMatch(/unified memory/)
  })
})

describe('memory', () => {
  it('is what Linux calls available', () => {
    const text = 'MemTotal:       24684092 kB\nMemFree:  100 kB\nMemAvailable:   23206400 kB\n'
    expect(readMeminfo(text)).toEqual({
      totalBytes: 24_684_092 * 1_024,
      freeBytes: 23_206_400 * 1_024,
    })
    expect(readMeminfo('')).toBeUndefined()
  })

  it('is what macOS could give at once', () => {
    expect(readVmStat(vmStat)).toBe(33_500 * 16_384)
    expect(readVmStat('')).toBeUndefined()
  })
})

describe('the cores', () => {
  const core = (busy: number, idle: number) => ({
    times: { user: busy, nice: 0, sys: 0, irq: 0, idle },
  })

  it('were busy for a share of the time in between', () => {
    const before = cpuTimes([core(100, 100), core(0, 200)])
    const after = cpuTimes([core(200, 100), core(50, 250)])
    expect(cpuUse(before, after)).toBe(0.75)
    expect(cpuUse(after, after)).toBeNull()
  })
})

describe('the directory of models', () => {
  it('is the one that was told, else the first usual one that is there', () => {
    expect(modelsDirOf('/data/models', '/home/u', () => false)).toBe('/data/models')
    expect(modelsDirOf(undefined, '/home/u', () => true)).toBe('/home/u/.ollama/models')
    const service = '/usr/share/ollama/.ollama/models'
    expect(modelsDirOf(undefined, '/home/u', (path) => path === service)).toBe(service)
    expect(modelsDirOf(undefined, '/home/u', () => false)).toBeUndefined()
  })
})

describe('the figures of this machine', () => {
  it('run each program once in five seconds, however many ask', async () => {
    using folder = scratchFolder()
    const clock = handClock()
    const ran: string[] = []
    const host = new Host({
      clock,
      platform: 'linux',
      run: async (name) => {
        ran.push(name)
        return { ok: false, why: `${name}: not found` }
      },
      modelsDir: () => folder.path,
      isHere: true,
    })
    const [one, other] = await Promise.all([host.figures(), host.figures()])
    expect(one).toBe(other)
    expect(one.disk?.path).toBe(folder.path)
    expect(one.disk!.free_bytes).toBeGreaterThan(0)
    expect(one.memory.total_bytes).toBeGreaterThan(0)
    clock.pass(4_999)
    await host.figures()
    expect(ran).toEqual(['nvidia-smi', 'rocm-smi'])
    clock.pass(1)
    await host.figures()
    expect(ran).toHaveLength(4)
  })

  it('tell nothing of the disk of another machine', async () => {
    const run = async (): Promise<Printed> => ({ ok: false, why: 'x: not found' })
    const host = new Host({
      clock: handClock(),
      platform: 'linux',
      run,
      modelsDir: () => '/models',
      isHere: false,
    })
    const { disk, models_dir, absent } = await host.figures()
    expect({ disk, models_dir }).toEqual({ disk: null, models_dir: null })
    expect(absent['disk']).toBe('the Ollama is on another machine')
  })

  it('say why a program told nothing', async () => {
    expect(await runProgram('no-such-program-here', [])).toEqual({
      ok: false,
      why: 'no-such-program-here: not found',
    })
    expect(await runProgram(process.execPath, ['-e', 'process.exit(9)'])).toEqual({
      ok: false,
      why: `${process.execPath}: ended with 9`,
    })
    expect(await runProgram(process.execPath, ['-p', '1 + 1'])).toEqual({ ok: true, text: '2\n' })
  })
})
