/** What the proxy says of a run while it goes on. */
export type RunEvent =
  | { readonly kind: 'planned'; readonly parts: number; readonly by: string }
  | {
      readonly kind: 'part'
      /** `part 7`, `reduce 1.2`. */
      readonly name: string
      readonly stage: 'map' | 'reduce'
      readonly state: 'answered' | 'retried' | 'hedged' | 'failed'
      /** '' when no backend had it. */
      readonly backend: string
      /** On the seat. */
      readonly ms: number
      /** Parts that are over, with this one. */
      readonly done: number
      readonly parts: number
    }

/** One backend as its events show it. */
export interface Lane {
  readonly backend: string
  /** Parts that it has answered. */
  readonly done: number
  /** When it last answered a part; undefined: not yet. */
  readonly doneAtMs: number | undefined
  /** What it did last; '' for nothing yet. */
  readonly last: string
}

/** A run so far, as everything that draws it sees it. Times are on the caller's clock. */
export interface RunState {
  readonly startedMs: number
  /** Undefined: the proxy still plans. */
  readonly plannedMs: number | undefined
  readonly parts: number
  readonly by: string
  /** Parts that are over, answered or not. */
  readonly done: number
  /** When a part was last over. */
  readonly doneAtMs: number | undefined
  readonly failed: number
  readonly retried: number
  readonly hedged: number
  /** Calls that combine and are answered. */
  readonly combined: number
  /** What the answered parts took on their seats, one after another. */
  readonly workMs: number
  readonly lanes: readonly Lane[]
}

/** `backends` are those that could take part: their lanes are there from the beginning. */
export function newRun(startedMs: number, backends: readonly string[] = []): RunState {
  return {
    startedMs,
    plannedMs: undefined,
    parts: 0,
    by: '',
    done: 0,
    doneAtMs: undefined,
    failed: 0,
    retried: 0,
    hedged: 0,
    combined: 0,
    workMs: 0,
    lanes: backends.map(newLane),
  }
}

export function runAfter(run: RunState, event: RunEvent, nowMs: number): RunState {
  if (event.kind === 'planned')
    return { ...run, plannedMs: nowMs, parts: event.parts, by: event.by }
  const { stage, state, ms, done } = event
  const over = stage === 'map' && (state === 'answered' || state === 'failed')
  return {
    ...run,
    done: Math.max(run.done, done),
    doneAtMs: over ? nowMs : run.doneAtMs,
    failed: run.failed + (stage === 'map' && state === 'failed' ? 1 : 0),
    retried: run.retried + (state === 'retried' ? 1 : 0),
    hedged: run.hedged + (state === 'hedged' ? 1 : 0),
    combined: run.combined + (stage === 'reduce' && state === 'answered' ? 1 : 0),
    workMs: run.workMs + (state === 'answered' ? ms : 0),
    lanes: lanesAfter(run.lanes, event, nowMs),
  }
}

type PartEvent = Extract<RunEvent, { kind: 'part' }>

function lanesAfter(lanes: readonly Lane[], event: PartEvent, nowMs: number): readonly Lane[] {
  if (event.backend === '') return lanes
  const known = lanes.some(({ backend }) => backend === event.backend)
  return (known ? lanes : [...lanes, newLane(event.backend)]).map((lane) =>
    lane.backend === event.backend ? laneAfter(lane, event, nowMs) : lane,
  )
}

function laneAfter(lane: Lane, { name, stage, state, ms }: PartEvent, nowMs: number): Lane {
  const seconds = `${(ms / 1_000).toFixed(1)} s`
  switch (state) {
    case 'answered': {
      const last = `${name} in ${seconds}`
      if (stage === 'reduce') return { ...lane, last }
      return { ...lane, last, done: lane.done + 1, doneAtMs: nowMs }
    }
    case 'retried':
      return { ...lane, last: `failed ${name}, asked again` }
    case 'hedged':
      return { ...lane, last: `helps with ${name}` }
    case 'failed':
      return { ...lane, last: `failed ${name}` }
  }
}

function newLane(backend: string): Lane {
  return { backend, done: 0, doneAtMs: undefined, last: '' }
}

/** Until the last part is over, as it goes so far; undefined: nothing to judge by, or nothing left. */
export function remainingMs(run: RunState, nowMs: number): number | undefined {
  const { plannedMs, doneAtMs, done, parts } = run
  if (plannedMs === undefined || doneAtMs === undefined || done === 0 || done >= parts)
    return undefined
  // Judged by what is over: with the time since then in it, the guess would grow between two parts.
  const msEach = (doneAtMs - plannedMs) / done
  return Math.max(0, (parts - done) * msEach - (nowMs - doneAtMs))
}

/**
 * Parts that each lane will have answered at the end, if all go on as they do; in the order of the lanes. They add up
 * to the parts of the run that did not fail, once any lane has answered one.
 */
export function sharesOf({ lanes, parts, done, plannedMs = 0 }: RunState): number[] {
  const speeds = lanes.map(({ done: own, doneAtMs }) =>
    doneAtMs === undefined ? 0 : own / Math.max(1, doneAtMs - plannedMs),
  )
  const sum = speeds.reduce((all, speed) => all + speed, 0)
  const left = Math.max(0, parts - done)
  const exact = lanes.map((lane, at) => lane.done + (sum === 0 ? 0 : (left * speeds[at]!) / sum))
  const shares = exact.map(Math.floor)
  if (sum === 0) return shares
  // Whole parts go to those who are nearest to one more.
  const missing = Math.round(total(exact) - total(shares))
  const nearest = exact
    .map((share, at) => ({ at, rest: share - Math.floor(share) }))
    .sort((a, b) => b.rest - a.rest)
  for (const { at } of nearest.slice(0, missing)) shares[at]! += 1
  return shares
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
