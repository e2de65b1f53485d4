/**
 * Segments are looked for in a window of this many UTF-16 units: large enough that beginning again at a window's last
 * segment costs little, small enough that the engine's own copy of it stays small.
 */
const windowUnits = 16_384

/**
 * Where the segments of `text` from `start` to before `end` end. The last segment of a window may go on behind it, so
 * the next window begins with it; one that fills its whole window gets a window twice as large. `shown` may put
 * something else of the same length before the segmenter.
 */
export function segmentEnds(
  segmenter: Intl.Segmenter,
  text: string,
  start: number,
  end: number,
  shown: (window: string) => string = (window) => window,
): number[] {
  const ends: number[] = []
  let from = start
  let units = windowUnits
  while (from < end) {
    const to = Math.min(end, from + units)
    let last = 0
    for (const { index } of segmenter.segment(shown(text.slice(from, to)))) {
      if (index > 0) ends.push(from + index)
      last = index
    }
    if (to === end) {
      ends.push(end)
      return ends
    }
    from += last
    units = last === 0 ? units * 2 : windowUnits
  }
  return ends
}
