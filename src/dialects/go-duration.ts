const unitNs = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
} as const

/**
 * A duration as Go's time.ParseDuration reads it, in nanoseconds; undefined when Go would not. Unlike ours it has a
 * sign and no days, and a bare number is an error unless it is zero.
 */
export function goDurationNs(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1
  let rest = text.startsWith('-') || text.startsWith('+') ? text.slice(1) : text
  if (rest === '0') return 0
  if (rest === '') return undefined
  let total = 0
  while (rest !== '') {
    const part = /^(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/.exec(rest)
    if (part === null) return undefined
    total += Math.trunc(Number(part[1]) * unitNs[part[2] as keyof typeof unitNs])
    rest = rest.slice(part[0].length)
  }
  return total === 0 ? 0 : sign * total
}
