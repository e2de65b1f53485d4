export interface MemoryFigures {
  readonly totalBytes: number
  /** What a program could have now, caches that would be given up for it among it. */
  readonly freeBytes: number
}

/** The text of /proc/meminfo; undefined where it has not the two lines. */
export function readMeminfo(text: string): MemoryFigures | undefined {
  const totalBytes = kibibytesOf(text, 'MemTotal')
  const freeBytes = kibibytesOf(text, 'MemAvailable')
  return totalBytes === undefined || freeBytes === undefined ? undefined : { totalBytes, freeBytes }
}

/** Free memory in what macOS' `vm_stat` prints: free, inactive, speculative and purgeable pages. */
export function readVmStat(text: string): number | undefined {
  const pageBytes = Number(/page size of (\d+) bytes/.exec(text)?.[1] ?? Number.NaN)
  const pages = (name: string) =>
    Number(new RegExp(`^Pages ${name}:\\s+(\\d+)\\.`, 'm').exec(text)?.[1] ?? Number.NaN)
  const free = pages('free')
  if (!Number.isFinite(pageBytes) || !Number.isFinite(free)) return undefined
  const more = ['inactive', 'speculative', 'purgeable'].map((name) => pages(name) || 0)
  return (free + more.reduce((sum, each) => sum + each, 0)) * pageBytes
}

function kibibytesOf(text: string, name: string): number | undefined {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)
  return found ? Number(found[1]) * 1_024 : undefined
}
