import { styleText } from 'node:util'
import type { Clock } from '../core/clock.ts'
import { type Canvas, drawRun } from './split-lanes.ts'
import { lineOfEvent } from './split-plain.ts'
import { Screen } from './split-screen.ts'
import type { RunEvent, RunState } from './split-state.ts'
import { countOf } from './split-words.ts'
import { say } from './talk.ts'

/** How a run is told while it goes on. Disposing ends the telling, and leaves the terminal as it was. */
export interface SplitTalk extends Disposable {
  heard(event: RunEvent): void
  /** Lets something else be written, now or within a moment, where it runs into nothing. */
  aside(write: () => void): void
}

export type TalkKind = 'none' | 'lines' | 'lanes'

/** Lanes where they can be drawn in place; lines for pipes, logs and terminals that can not move their cursor. */
export function talkKind(
  stderr: { readonly isTTY?: boolean },
  { quiet = false }: { readonly quiet?: boolean },
  env: NodeJS.ProcessEnv,
): TalkKind {
  if (quiet) return 'none'
  return stderr.isTTY && env['TERM'] !== 'dumb' ? 'lanes' : 'lines'
}

export interface TalkDoors {
  readonly clock: Clock
  /** What is split, in a few words. */
  readonly title: string
  /** As it stands now. */
  readonly run: () => RunState
}

export function talkOf(kind: TalkKind, doors: TalkDoors): SplitTalk {
  if (kind === 'lanes') return lanes(doors)
  return {
    heard: (event) => {
      if (kind === 'lines') say(lineOfEvent(event))
    },
    aside: (write) => write(),
    [Symbol.dispose]: () => {},
  }
}

function lanes({ clock, title, run }: TalkDoors): SplitTalk {
  const screen = new Screen({
    clock,
    write: (text) => void process.stderr.write(text),
    lines: () => drawRun(run(), clock.now(), canvas()),
  })
  let single = false
  return {
    heard: (event) => {
      if (event.kind !== 'planned') return
      single = event.parts === 1
      const plan = `  ${title} → ${countOf(event.parts, 'part')} by ${event.by}`
      screen.above(() => say(plan))
    },
    aside: (write) => {
      // One part is let out word by word: there is nothing to draw beside it.
      if (single) screen[Symbol.dispose]()
      else return screen.above(write)
      write()
    },
    [Symbol.dispose]: () => screen[Symbol.dispose](),
  }
}

/** Asked for each drawing, since a window can be resized. */
function canvas(): Canvas {
  const { columns, rows } = process.stderr
  return {
    columns: columns || 80,
    rows: rows || 24,
    // NO_COLOR and FORCE_COLOR are judged by styleText.
    paint: (style, text) =>
      styleText(style === 'bar' ? 'cyan' : 'dim', text, { stream: process.stderr }),
  }
}
