import { type CutWishes, type Part, PartTooLarge } from './splitter.ts'

/** Units in a row, to be put together to parts. Units are counted from 0. */
export interface Units {
  readonly count: number
  /** What is sent for the units from `from` to before `end`. */
  textOf(from: number, end: number): string
  /** How much of `size` and of `overlap` a unit of so many tokens uses; undefined: each uses one. */
  readonly sizeOf?: ((unit: number, tokens: number) => number) | undefined
  /** What goes before a text that begins with this unit, if possible within so many tokens. */
  readonly carry?: ((unit: number, roomTokens: number) => string) | undefined
  /** For people, for the units from `first` to before `end`. */
  labelOf(first: number, end: number): string
}

/** Units `first` to before `end`, sent with those from `from` on. */
export interface Group {
  readonly from: number
  readonly first: number
  readonly end: number
  readonly text: string
  readonly tokens: number
}

export interface Limits extends Pick<CutWishes, 'overlap' | 'tokensMax' | 'tokensOf'> {
  readonly size: number
}

/**
 * Fills one group after the other with as many units as fit. An overlap gives way before anything else: it reaches
 * no further back than the group before and takes at most half of the tokens, so that a cut of the whole text sends
 * it at most twice, and every group gets on.
 */
export function group(units: Units, limits: Limits): Group[] {
  const weights = new Float64Array(units.count)
  for (let unit = 0; unit < units.count; unit++)
    weights[unit] = limits.tokensOf(units.textOf(unit, unit + 1))
  const groups: Group[] = []
  let before = 0
  for (let first = 0; first < units.count; ) {
    const next = groupAt(first, before, units, weights, limits)
    groups.push(next)
    before = first
    first = next.end
  }
  return groups
}

function groupAt(
  first: number,
  before: number,
  units: Units,
  weights: Float64Array,
  limits: Limits,
): Group {
  const tokensMax = Math.floor(limits.tokensMax)
  let from = overlapFrom(first, before, units, weights, limits)
  let carried = carriedAt(from, first, units, weights, limits)
  let end = fill(first, sum(weights, from, first) + carried.tokens, units, weights, limits)
  // The weights are added up, the text is weighed: what does not quite agree shows here.
  for (;;) {
    const text = carried.text + units.textOf(from, end)
    const tokens = Math.ceil(limits.tokensOf(text))
    if (tokens <= tokensMax) return { from, first, end, text, tokens }
    if (end > first + 1) {
      const fitting = Math.floor(((end - first) * tokensMax) / tokens)
      end = Math.max(first + 1, Math.min(end - 1, first + fitting))
    } else if (from < first) {
      from++
      carried = carriedAt(from, first, units, weights, limits)
    } else throw new PartTooLarge(units.labelOf(first, first + 1), tokens, limits.tokensMax)
  }
}

function overlapFrom(
  first: number,
  before: number,
  { sizeOf }: Units,
  weights: Float64Array,
  { overlap, tokensMax }: Limits,
): number {
  // Units may use nothing (pieces of a larger one), and none is not a few of those.
  if (overlap === 0) return first
  let from = first
  let size = 0
  let tokens = 0
  const tokensLeft = Math.min(tokensMax / 2, tokensMax - weights[first]!)
  while (from > before) {
    size += sizeOf?.(from - 1, weights[from - 1]!) ?? 1
    tokens += weights[from - 1]!
    if (size > overlap || tokens > tokensLeft) break
    from--
  }
  return from
}

function carriedAt(
  from: number,
  first: number,
  units: Units,
  weights: Float64Array,
  { tokensMax, tokensOf }: Limits,
): { readonly text: string; readonly tokens: number } {
  if (!units.carry) return { text: '', tokens: 0 }
  const text = units.carry(from, tokensMax - sum(weights, from, first + 1))
  return { text, tokens: tokensOf(text) }
}

/** The first unit is always taken: if it is too large, that is said when the text is weighed. */
function fill(
  first: number,
  tokensBefore: number,
  { count, sizeOf }: Units,
  weights: Float64Array,
  { size, tokensMax }: Limits,
): number {
  let end = first + 1
  let sizeSum = sizeOf?.(first, weights[first]!) ?? 1
  let tokens = tokensBefore + weights[first]!
  while (end < count) {
    sizeSum += sizeOf?.(end, weights[end]!) ?? 1
    tokens += weights[end]!
    if (sizeSum > size || tokens > tokensMax) break
    end++
  }
  return end
}

function sum(weights: Float64Array, from: number, end: number): number {
  let tokens = 0
  for (let unit = from; unit < end; unit++) tokens += weights[unit]!
  return tokens
}

/** How the units of a text are named, counted, sent, where it is not by their slices and one each. */
export interface UnitsOfText extends Partial<Omit<Units, 'count' | 'labelOf'>> {
  labelOf: Units['labelOf']
}

/**
 * Parts of a text from the offsets at which its units end: rising, the last one the end of the text, none for an
 * empty text. Takes time in proportion to the text.
 */
export function pack(
  text: string,
  ends: readonly number[],
  units: UnitsOfText,
  limits: Limits,
): Part[] {
  const startOf = (unit: number) => (unit === 0 ? 0 : ends[unit - 1]!)
  const slice = (from: number, end: number) => text.slice(startOf(from), ends[end - 1]!)
  const groups = group({ textOf: slice, ...units, count: ends.length }, limits)
  return groups.map(({ from, first, end, text: sent, tokens }, index) => ({
    index,
    start: startOf(first),
    end: ends[end - 1]!,
    from: startOf(from),
    text: sent,
    tokens,
    label: units.labelOf(first, end),
  }))
}

/** `line 17`, `lines 11-20`: from units counted from 0 to names counted from 1. */
export function numbered(noun: string): (first: number, end: number) => string {
  return (first, end) =>
    end - first === 1 ? `${noun} ${first + 1}` : `${noun}s ${first + 1}-${end}`
}
