import type { Weathered } from './storm.ts'

const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)

/** A storm in one line. */
export function lineOf({ seed, exchanges, tookMs, verdicts, events, ...more }: Weathered): string {
  const { baseline, afterwards, complaints } = more
  const counts = Object.entries(verdicts).map(([name, count]) => `${count} ${name}`)
  const [before, after] = [baseline.full, afterwards.full]
  return [
    `seed ${seed}: ${complaints.length === 0 ? 'weathered' : 'NOT WEATHERED'}`,
    `${exchanges} exchanges and ${events} events in ${(tookMs / 1_000).toFixed(1)} s`,
    counts.join(', '),
    `${after.retried - before.retried} retried, ${after.continued - before.continued} gone on with`,
    `heap ${mib(before.heapBytes)} to ${mib(after.heapBytes)} MiB`,
    `resident ${mib(before.rssBytes)} to ${mib(after.rssBytes)} MiB`,
  ].join('; ')
}
