/**
 * The shortest of several measurements. What a promise of milliseconds is about is what the program needs; on a busy
 * machine a single one may show what everybody else needed.
 */
export async function bestOf(times: number, measureMs: () => Promise<number>): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let each = 0; each < times; each++) best = Math.min(best, await measureMs())
  return best
}
