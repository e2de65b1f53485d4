const unitMs = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/**
 * `"90s"`, `"1h30m"`, `"250ms"` → milliseconds; undefined when the text is no duration. A unit is always needed:
 * a bare number in a configuration has been read as seconds by one person and as milliseconds by the next.
 */
export function durationMs(text: string): number | undefined {
  if (text === '0') return 0
  let total = 0
  let rest = text.trim()
  if (rest === '') return undefined
  while (rest !== '') {
    const part = /^(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)/.exec(rest)
    if (!part) return undefined
    total += Number(part[1]) * unitMs[part[2] as keyof typeof unitMs]
    rest = rest.slice(part[0].length)
  }
  return total
}

const unitBytes = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** `"16GiB"`, `"512 MB"` → bytes; undefined when the text is no size with a unit. */
export function sizeBytes(text: string): number | undefined {
  const part = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/.exec(text.trim())
  return part
    ? Math.round(Number(part[1]) * unitBytes[part[2] as keyof typeof unitBytes])
    : undefined
}
