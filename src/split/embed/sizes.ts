import type { Weights } from './weight.ts'

/** A place where one part at a time is served. */
export interface Lane {
  /** When it is done with what it has. */
  readonly freeInMs: number
  readonly weightPerMs: number
}

/** A part's way there and back and what it costs both sides, beside its items. */
export const partMs = 2
/**
 * A part shorter than this is not worth its way; only the last ones are so short. Tried out on machines from 1:1:1 to
 * 12:4:4:4:2:1:1:1 with 16 to 4096 items, where less and more both made batches of 16 to 64 items end later.
 */
const worthwhileMs = 8
/** What is left is handed out in one last round when it takes no longer than this; found in the same way. */
const lastRoundMs = 40
/** Parts at least this large are worthwhile on any machine, also one of which nothing is known. */
const itemsWorthwhile = 8
const bytesWorthwhile = 4_096
/** How far beyond the end of all a part may go on; cutting finer costs more than it gains. */
const lateShare = 1.05

const roundedShare = 1.03

export function timeMs(lane: Pick<Lane, 'weightPerMs'>, weight: number): number {
  return partMs + weight / lane.weightPerMs
}

/** When all is done if every lane goes on until the same moment, whoever is busy longer having no part in it. */
export function finishMs(weight: number, lanes: readonly Lane[]): number {
  let speed = 0
  let missed = 0
  let finish = Number.POSITIVE_INFINITY
  for (const { freeInMs, weightPerMs } of lanes.toSorted((a, b) => a.freeInMs - b.freeInMs)) {
    if (finish <= freeInMs) break
    speed += weightPerMs
    missed += weightPerMs * freeInMs
    finish = (weight + missed) / speed
  }
  return finish
}

export interface Left {
  /** The range that is cut next. */
  readonly from: number
  readonly to: number
  /** Of everything that nobody has yet, this range among it. */
  readonly weight: number
}

/**
 * Where the next part for a free lane ends, so that all machines finish together; undefined when it should take none.
 * A lane gets half of what it would do until the end, then half of the rest: early parts are large, so that few are
 * needed; late ones small, so that a wrong guess of a speed is made good. A lane whose smallest part would outlast
 * everybody gets nothing more. Fast and slow machines so get parts of about the same length in time.
 */
export function nextPartEnd(
  mine: Lane,
  others: readonly Lane[],
  weights: Weights,
  left: Left,
): number | undefined {
  const { from, to } = left
  const floor = (lane: Lane) => {
    const eight = weights.of(from, Math.min(to, from + itemsWorthwhile))
    const smallest = Math.min(eight, bytesWorthwhile, worthwhileMs * lane.weightPerMs)
    return Math.max(weights.of(from, from + 1), Math.min(smallest, left.weight))
  }
  const lanes = [mine, ...others]
  if (partMs + finishMs(left.weight, lanes) <= lastRoundMs) {
    const itemWeight = weights.of(from, to) / (to - from)
    const items = Math.max(1, Math.round(left.weight / itemWeight))
    const share = wholeItemsOf(mine, others, itemWeight, items)
    return share === 0 ? undefined : Math.min(to, from + share)
  }
  const endMs = finishOfUseful(left.weight, lanes, floor)
  const smallestMs = timeMs(mine, floor(mine))
  const isLate = smallestMs > endMs * lateShare
  if (isLate && others.some((lane) => lane.freeInMs + timeMs(lane, floor(mine)) < smallestMs))
    return undefined
  if (timeMs(mine, left.weight) <= endMs * lateShare) return to

  const untilEnd = (endMs - partMs) * mine.weightPerMs
  const wanted = Math.max(untilEnd / 2, worthwhileMs * mine.weightPerMs)
  const end = weights.endNear(from, to, Math.max(wanted, floor(mine)))
  // On a slow machine one item too many is felt by all; whoever is faster takes it with ease.
  const isTooMany = end - 1 > from && timeMs(mine, weights.of(from, end)) > endMs * roundedShare
  return isTooMany ? end - 1 : end
}

/**
 * How many of the items that are left a lane has in the best schedule of all lanes, which is exact for equal items: in a
 * short round an item more or less at a slow machine is a large share of the whole time.
 */
function wholeItemsOf(
  mine: Lane,
  others: readonly Lane[],
  itemWeight: number,
  items: number,
): number {
  const doneBy = (atMs: number, { freeInMs, weightPerMs }: Lane) =>
    Math.max(0, Math.floor(((atMs - freeInMs - partMs) * weightPerMs) / itemWeight + 1e-6))
  const allDoneBy = (atMs: number) =>
    others.reduce((done, lane) => done + doneBy(atMs, lane), doneBy(atMs, mine))
  let low = 0
  let high = mine.freeInMs + timeMs(mine, items * itemWeight)
  // A round is short: so many halvings are far finer than anything that is measured.
  for (let halving = 0; halving < 24; halving++) {
    const middle = (low + high) / 2
    if (allDoneBy(middle) >= items) high = middle
    else low = middle
  }
  return doneBy(high, mine)
}

/** As `finishMs`, without the lanes that would be the last to finish with even their smallest part. */
function finishOfUseful(
  weight: number,
  lanes: readonly Lane[],
  floor: (lane: Lane) => number,
): number {
  let useful = lanes.map((lane) => ({
    ...lane,
    freeInMs: lane.freeInMs + partMs,
    floor: floor(lane),
  }))
  let endMs = finishMs(weight, useful)
  // Without some the end comes later, so that others may again be of use: a few rounds come near enough.
  for (let round = 0; round < 4; round++) {
    const latest = endMs * lateShare
    const kept = useful.filter((lane) => lane.freeInMs + lane.floor / lane.weightPerMs <= latest)
    if (kept.length === 0 || kept.length === useful.length) break
    useful = kept
    endMs = finishMs(weight, useful)
  }
  return endMs
}
