import { type Lane, type RunState, remainingMs, sharesOf } from './split-state.ts'
import { countOf, oneLine, speedupOf, wholeSpanOf } from './split-words.ts'

/** What there is to draw on. `paint` gives a text its colour, or leaves it as it is. */
export interface Canvas {
  readonly columns: number
  readonly rows: number
  readonly paint: (style: 'bar' | 'quiet', text: string) => string
}

const barColumnsMax = 20
/** A shorter bar shows nothing that the numbers beside it do not. */
const barColumnsMin = 5
const nameColumnsMax = 20

/** A run as it stands: a lane for each backend and a line for the whole. Never wider or higher than the canvas. */
export function drawRun(run: RunState, nowMs: number, canvas: Canvas): string[] {
  // The line for the whole, one for lanes that find no room, and one for the cursor.
  const room = Math.max(0, canvas.rows - 3)
  const shares = sharesOf(run)
  // Before there is a plan, and for a single part, there is nothing to share.
  const lanes = run.parts > 1 ? run.lanes : []
  const rows = lanes.map((lane, at) => ({ lane, share: shares[at]! }))
  const kept = new Set(
    rows
      .toSorted((a, b) => b.lane.done - a.lane.done)
      .slice(0, room)
      .map(({ lane }) => lane),
  )
  const shown = rows.filter(({ lane }) => kept.has(lane))
  const columns = columnsOf(shown, run, canvas.columns)
  const hidden = rows.length - shown.length
  const more = hidden === 0 ? [] : [`  and ${countOf(hidden, 'more backend')}`]
  return [
    ...shown.map(({ lane, share }) => drawLane(lane, share, run, columns, canvas)),
    ...more.map((line) => canvas.paint('quiet', cut(line, canvas.columns))),
    totalLine(run, nowMs, canvas.columns),
  ]
}

interface Columns {
  readonly name: number
  readonly bar: number
  readonly count: number
  readonly speed: number
}

function columnsOf(
  shown: readonly { readonly lane: Lane; readonly share: number }[],
  run: RunState,
  width: number,
): Columns {
  const widest = (texts: readonly string[]) =>
    texts.reduce((most, text) => Math.max(most, text.length), 0)
  const name = Math.min(nameColumnsMax, widest(shown.map(({ lane }) => oneLine(lane.backend))))
  const count = widest(shown.map(({ lane, share }) => counted(lane, share)))
  const speed = widest(shown.map(({ lane }) => speedOf(lane, run)))
  const last = widest(shown.map(({ lane }) => lane.last))
  // The bar takes what the words leave, and goes before they do.
  const left = width - 1 - (2 + name + 2 + 2 + count + 3 + speed + 3 + last)
  const bar = Math.min(barColumnsMax, left)
  return { name, count, speed, bar: bar < barColumnsMin ? 0 : bar }
}

function drawLane(
  lane: Lane,
  share: number,
  run: RunState,
  columns: Columns,
  { columns: width, paint }: Canvas,
): string {
  const name = cut(oneLine(lane.backend), columns.name + 1).padEnd(columns.name)
  const filled = share === 0 ? 0 : Math.floor((columns.bar * lane.done) / share)
  const before = `  ${name}  `
  const after = [
    columns.bar > 0 ? '  ' : '',
    counted(lane, share).padStart(columns.count),
    '   ',
    speedOf(lane, run).padEnd(columns.speed),
    '   ',
    oneLine(lane.last),
  ].join('')
  const plain = cut(
    `${before}${'█'.repeat(filled)}${'░'.repeat(columns.bar - filled)}${after}`,
    width,
  )
  const barEnd = before.length + columns.bar
  return [
    plain.slice(0, before.length),
    paint('bar', plain.slice(before.length, barEnd)),
    plain.slice(barEnd),
  ]
    .join('')
    .trimEnd()
}

function counted({ done }: Lane, share: number): string {
  return share === 0 ? String(done) : `${done}/${share}`
}

/** Slow models answer a few parts a minute, small ones many a second; all lanes are told in one unit. */
function speedOf(lane: Lane, run: RunState): string {
  const speed = perSecond(lane, run)
  if (speed === undefined) return ''
  const slow = run.lanes.some((each) => (perSecond(each, run) ?? 1) < 1)
  const told = slow ? 60 * speed : speed
  return `${told.toFixed(told < 100 ? 1 : 0)} parts/${slow ? 'min' : 's'}`
}

function perSecond({ done, doneAtMs }: Lane, { plannedMs = 0 }: RunState): number | undefined {
  if (doneAtMs === undefined) return undefined
  return (1_000 * done) / Math.max(1, doneAtMs - plannedMs)
}

/** As much of it as there is room for: what matters most stands first. */
function totalLine(run: RunState, nowMs: number, columns: number): string {
  let line = ''
  for (const said of [...saidOf(run, nowMs), 'Ctrl-C stops it']) {
    const longer = line === '' ? `  ${said}` : `${line}   ${said}`
    if (longer.length >= columns) break
    line = longer
  }
  return line
}

function saidOf(run: RunState, nowMs: number): string[] {
  const { startedMs, plannedMs, parts, done, failed, combined, workMs } = run
  const elapsed = wholeSpanOf(nowMs - startedMs)
  if (plannedMs === undefined) return ['planning', elapsed]
  const left = remainingMs(run, nowMs)
  const wallMs = nowMs - plannedMs
  const said = [`${done}/${countOf(parts, 'part')}`]
  if (failed > 0) said.push(`${failed} failed`)
  said.push(elapsed)
  if (done >= parts)
    said.push(combined > 0 ? `combining, ${countOf(combined, 'call')} done` : 'combining')
  else said.push(`ETA ${left === undefined ? '–' : wholeSpanOf(left)}`)
  if (done > 0 && wallMs > 0) said.push(speedupOf(workMs / wallMs))
  return said
}

/** The last column stays free: some terminals wrap as soon as it is filled. */
function cut(text: string, columns: number): string {
  const most = Math.max(0, columns - 1)
  return text.length <= most ? text : `${text.slice(0, Math.max(0, most - 1))}…`.slice(0, most)
}
