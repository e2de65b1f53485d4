import type { RunEvent } from './split-state.ts'
import { countOf, oneLine, spanOf } from './split-words.ts'

/** One line for what happened, where nothing can be drawn. */
export function lineOfEvent(event: RunEvent): string {
  if (event.kind === 'planned') return `planned ${countOf(event.parts, 'part')} by ${event.by}`
  const { name, stage, state, backend, ms, done, parts } = event
  const who = backend === '' ? 'no backend' : oneLine(backend)
  const so = stage === 'map' ? ` (${done}/${parts})` : ''
  switch (state) {
    case 'answered':
      return `${name} answered by ${who} in ${spanOf(ms)}${so}`
    case 'retried':
      return `${name} failed at ${who} after ${spanOf(ms)}, asked again`
    case 'hedged':
      return `${name} asked of ${who} as well, since it takes ${spanOf(ms)} already`
    case 'failed':
      return backend === '' ? `${name} failed${so}` : `${name} failed at ${who}${so}`
  }
}
