/** Whether the machine was fast enough for the pace. Shares are of one core. */
export interface Strain {
  readonly seconds: number
  readonly frontShare: number
  readonly machinesShare: number
  readonly clientsShare: number
  /** How late requests were sent, 99th of a hundred, in milliseconds of the study. */
  readonly lateMs: number
  /** How often ours took a machine for away. */
  readonly aways: number
  readonly loadBefore: number
  readonly loadAfter: number
}

/** Bursts alone make the clients as late as a quarter of a second. */
const lateMsMax = 400

/** Why figures of such a run say more about the machine than about balancers; undefined: they do not. */
export function tooSlow(
  { lateMs, loadBefore, loadAfter }: Strain,
  cores: number,
): string | undefined {
  const isLate = lateMs > lateMsMax
  const isFull = Math.max(loadBefore, loadAfter) > 1.5 * cores
  if (!isLate && !isFull) return undefined
  const why = isLate ? 'requests were sent late' : 'others used the cores'
  return `TOO SLOW FOR THIS PACE: ${why}; the figures of this run are worth little`
}
