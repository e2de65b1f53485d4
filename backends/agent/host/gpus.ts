import type { GpuReport } from '../../../src/core/load-report.ts'

const mebibyte = 1_048_576

export const nvidiaArguments = [
  '--query-gpu=name,memory.total,memory.used,utilization.gpu',
  '--format=csv,noheader,nounits',
]

/** One card a line: `NVIDIA GeForce RTX 3090, 24576, 1202, 37`; MiB and percent, `[N/A]` where it does not know. */
export function readNvidiaSmi(text: string): GpuReport[] {
  return text.split('\n').flatMap((line) => {
    const cells = line.split(',').map((cell) => cell.trim())
    if (cells.length < 4) return []
    const [total, used, percent] = cells.slice(-3).map(numberOf)
    return [
      {
        name: cells.slice(0, -3).join(', '),
        memory_total_bytes: scaled(total, mebibyte),
        memory_used_bytes: scaled(used, mebibyte),
        use: scaled(percent, 0.01),
      },
    ]
  })
}

export const rocmArguments = ['--showproductname', '--showmeminfo', 'vram', '--showuse', '--json']

/** An object with a field for each card, whose values are texts. Warnings may stand before it. */
export function readRocmSmi(text: string): GpuReport[] {
  const cards = objectIn(parsed(text.slice(Math.max(0, text.indexOf('{')))))
  return Object.entries(cards).flatMap(([key, value]) => {
    if (!/^card\d+$/.test(key)) return []
    const card = objectIn(value)
    const name =
      card['Card Series'] ?? card['Card series'] ?? card['Card Model'] ?? card['Card model']
    return [
      {
        name: typeof name === 'string' && name !== '' ? name : key,
        memory_total_bytes: numberOf(card['VRAM Total Memory (B)']) ?? null,
        memory_used_bytes: numberOf(card['VRAM Total Used Memory (B)']) ?? null,
        use: scaled(numberOf(card['GPU use (%)']), 0.01),
      },
    ]
  })
}

export const profilerArguments = ['SPDisplaysDataType', '-json']
export const ioregArguments = ['-r', '-d', '1', '-w', '0', '-c', 'IOAccelerator']

/**
 * macOS: names and memory by `system_profiler`, use by `ioreg`. The cards of Apple silicon have no memory of their own,
 * which is said as such and not filled in with the machine's.
 */
export function readMacGpus(
  profiler: string,
  ioreg: string | undefined,
): { readonly gpus: GpuReport[]; readonly isUnified: boolean } {
  const listed = objectIn(parsed(profiler))['SPDisplaysDataType']
  const cards = Array.isArray(listed) ? listed.map(objectIn) : []
  const percents = [...(ioreg ?? '').matchAll(/"Device Utilization %"\s*=\s*(\d+)/g)].map((found) =>
    Number(found[1]),
  )
  const gpus = cards.flatMap((card, index) => {
    const name = card['sppci_model'] ?? card['_name']
    if (typeof name !== 'string') return []
    return [
      {
        name,
        memory_total_bytes: sizeOf(card['spdisplays_vram']),
        memory_used_bytes: null,
        use: scaled(percents[index], 0.01),
      },
    ]
  })
  return { gpus, isUnified: gpus.some((gpu) => gpu.memory_total_bytes === null) }
}

/** `8 GB`, as Apple writes binary gigabytes. */
function sizeOf(value: unknown): number | null {
  const found = typeof value === 'string' ? /^(\d+(?:\.\d+)?) (MB|GB)$/.exec(value) : null
  if (!found) return null
  return Number(found[1]) * (found[2] === 'GB' ? 1_024 : 1) * mebibyte
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

function scaled(value: number | undefined, by: number): number | null {
  return value === undefined ? null : value * by
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function objectIn(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)
    : {}
}
