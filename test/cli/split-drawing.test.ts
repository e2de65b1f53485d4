import { describe, expect, it } from 'vitest'
import { drawRun } from '../../src/cli/split-lanes.ts'
import { Screen } from '../../src/cli/split-screen.ts'
import {
  newRun,
  type RunEvent,
  type RunState,
  remainingMs,
  runAfter,
  sharesOf,
} from '../../src/cli/split-state.ts'
import { handClock } from '../help/clock.ts'

const planned = (parts: number): RunEvent => ({ kind: 'planned', parts, by: 'markdown' })

type PartEvent = Extract<RunEvent, { kind: 'part' }>

const part = (fields: Partial<PartEvent>): PartEvent => ({
  kind: 'part',
  name: 'part 1',
  stage: 'map',
  state: 'answered',
  backend: 'den',
  ms: 1_000,
  done: 1,
  parts: 31,
  ...fields,
})

/** A run of 31 parts after 72 s: den has answered the first 12, attic the next 7, studio the last. */
function halfway(): RunState {
  let run = runAfter(newRun(0, ['den', 'attic', 'studio']), planned(31), 0)
  const turns = [
    ...Array.from({ length: 12 }, () => 'den'),
    ...Array.from({ length: 7 }, () => 'attic'),
    'studio',
  ]
  for (const [at, backend] of turns.entries())
    run = runAfter(
      run,
      part({ name: `part ${at + 1}`, backend, ms: 10_000, done: at + 1 }),
      Math.round(((at + 1) * 72_000) / 20),
    )
  return run
}

const canvas = (columns = 100, rows = 24) => ({
  columns,
  rows,
  paint: (_style: string, text: string) => text,
})

describe('the state of a run', () => {
  it('counts what the events say, for the whole and for each backend', () => {
    let run = runAfter(newRun(0), planned(4), 100)
    run = runAfter(run, part({ done: 1, parts: 4, ms: 700 }), 800)
    run = runAfter(run, part({ name: 'part 2', state: 'retried', backend: 'attic' }), 900)
    run = runAfter(run, part({ name: 'part 2', state: 'hedged', backend: 'den' }), 950)
    run = runAfter(run, part({ name: 'part 3', state: 'failed', backend: '', done: 2 }), 1_000)
    run = runAfter(run, part({ name: 'reduce 1.1', stage: 'reduce', ms: 300, done: 2 }), 1_300)
    expect(run).toMatchObject({
      parts: 4,
      by: 'markdown',
      plannedMs: 100,
      done: 2,
      doneAtMs: 1_000,
      failed: 1,
      retried: 1,
      hedged: 1,
      combined: 1,
      workMs: 1_000,
    })
    expect(run.lanes).toEqual([
      { backend: 'den', done: 1, doneAtMs: 800, last: 'reduce 1.1 in 0.3 s' },
      { backend: 'attic', done: 0, doneAtMs: undefined, last: 'failed part 2, asked again' },
    ])
  })

  it('shares out the rest by speed, in whole parts that add up', () => {
    const run = halfway()
    const shares = sharesOf(run)
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(31)
    for (const [at, { done }] of run.lanes.entries())
      expect(shares[at]).toBeGreaterThanOrEqual(done)
    expect(sharesOf(runAfter(newRun(0, ['den']), planned(9), 0))).toEqual([0])
    // What failed is nobody's share.
    const failed = runAfter(run, part({ state: 'failed', backend: '', done: 21 }), 72_000)
    expect(sharesOf(failed).reduce((sum, share) => sum + share, 0)).toBe(30)
  })

  it('expects the rest to go as the parts before went, and counts down between two parts', () => {
    const run = halfway()
    expect(remainingMs(run, 72_000)).toBe(11 * 3_600)
    expect(remainingMs(run, 75_000)).toBe(11 * 3_600 - 3_000)
    expect(remainingMs(run, 10_000_000)).toBe(0)
    expect(remainingMs(runAfter(newRun(0), planned(3), 0), 5_000)).toBeUndefined()
    expect(remainingMs({ ...run, done: 31 }, 75_000)).toBeUndefined()
  })
})

describe('the lanes', () => {
  it('show each backend, what it did and how fast, and the whole', () => {
    expect(drawRun(halfway(), 72_000, canvas())).toMatchInlineSnapshot(`
      [
        "  den     ████████████░░░░░░░░  12/20   16.7 parts/min   part 12 in 10.0 s",
        "  attic   ██████████████░░░░░░   7/10   6.1 parts/min    part 19 in 10.0 s",
        "  studio  ████████████████████    1/1   0.8 parts/min    part 20 in 10.0 s",
        "  20/31 parts   1m12s   ETA 40 s   2.8× as fast as one by one   Ctrl-C stops it",
      ]
    `)
  })

  it('are not there before there is a plan, nor for a single part', () => {
    expect(drawRun(newRun(0, ['den']), 2_400, canvas())).toEqual([
      '  planning   2 s   Ctrl-C stops it',
    ])
    const single = runAfter(newRun(0, ['den']), planned(1), 0)
    expect(drawRun(single, 2_400, canvas())).toEqual(['  0/1 part   2 s   ETA –   Ctrl-C stops it'])
  })

  it('say that the parts are done and a model combines', () => {
    let run = runAfter(newRun(0), planned(2), 0)
    for (const done of [1, 2]) run = runAfter(run, part({ done }), 1_000 * done)
    expect(drawRun(run, 3_000, canvas()).at(-1)).toContain('   combining   ')
    run = runAfter(run, part({ name: 'reduce 1.1', stage: 'reduce', done: 2 }), 3_000)
    expect(drawRun(run, 3_000, canvas()).at(-1)).toContain('   combining, 1 call done   ')
  })

  it.each([100, 80, 60, 40, 20, 5, 1])('stay within %i columns', (columns) => {
    for (const line of drawRun(halfway(), 72_000, canvas(columns)))
      expect(line.length).toBeLessThan(Math.max(columns, 1))
  })

  it('stay within the height: the busiest are shown, in their order, and how many are not', () => {
    const lines = drawRun(halfway(), 72_000, canvas(80, 5))
    expect(lines.map((line) => line.trim().split(/ +/, 1)[0])).toEqual([
      'den',
      'attic',
      'and',
      '20/31',
    ])
    expect(lines[2]).toBe('  and 1 more backend')
    expect(drawRun(halfway(), 72_000, canvas(80, 2))).toHaveLength(2)
  })

  it('colour the bar and nothing else, and let no name move the cursor', () => {
    let run = runAfter(newRun(0), planned(2), 0)
    run = runAfter(run, part({ backend: '\x1b[2Jevil', done: 1 }), 1_000)
    const [lane] = drawRun(run, 1_000, {
      ...canvas(),
      paint: (style, text) => `<${style}>${text}</>`,
    })
    expect(lane).toMatch(/^ {2} \[2Jevil {2}<bar>█+░*<\/> {2}1\/2 /)
  })
})

describe('the screen', () => {
  function screenOn(lines: () => string[]) {
    const clock = handClock()
    const written: string[] = []
    const screen = new Screen({ clock, lines, write: (text) => void written.push(text) })
    return { clock, written, screen }
  }

  it('draws ten times a second at most, and only what has changed', () => {
    let count = 0
    const { clock, written } = screenOn(() => [`${Math.floor(count / 5)}`])
    for (let ms = 0; ms < 1_000; ms++) {
      count++
      clock.pass(1)
    }
    expect(written).toHaveLength(11)
    clock.pass(60_000)
    expect(written).toHaveLength(11)
  })

  it('draws over what it has drawn, whatever number of lines that was', () => {
    let lines = ['a', 'b', 'c']
    const { clock, written } = screenOn(() => lines)
    expect(written.splice(0)).toEqual(['\r\x1b[?7l\x1b[2Ka\n\x1b[2Kb\n\x1b[2Kc\n\x1b[0J\x1b[?7h'])
    lines = ['d']
    clock.pass(100)
    expect(written.splice(0)).toEqual(['\x1b[3A\r\x1b[?7l\x1b[2Kd\n\x1b[0J\x1b[?7h'])
  })

  it('takes its lines away before anything else is written, and puts them back below', () => {
    const { clock, written, screen } = screenOn(() => ['lane'])
    written.length = 0
    screen.above(() => written.push('answer\n'))
    screen.above(() => written.push('more\n'))
    expect(written).toEqual([])
    clock.pass(100)
    expect(written).toEqual([
      '\x1b[1A\r\x1b[0J',
      'answer\n',
      'more\n',
      '\r\x1b[?7l\x1b[2Klane\n\x1b[0J\x1b[?7h',
    ])
  })

  it('leaves nothing behind, and keeps nothing back', () => {
    const { clock, written, screen } = screenOn(() => ['lane'])
    written.length = 0
    screen.above(() => written.push('answer\n'))
    screen[Symbol.dispose]()
    screen[Symbol.dispose]()
    clock.pass(1_000)
    expect(written).toEqual(['\x1b[1A\r\x1b[0J', 'answer\n'])
  })
})
