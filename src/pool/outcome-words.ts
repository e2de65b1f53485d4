import type { Outcome } from '../core/outcome.ts'

/** An outcome in a few words, for `last_error` and logs: no addresses, no bodies. */
export function sayOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'answered':
      return `answered ${outcome.status}`
    case 'refused':
      // The sentence is ours, and what to do stands in it.
      if (outcome.why === 'badAnswer') return outcome.text
      return `refused ${outcome.status} ${outcome.why}`
    case 'unreachable':
      return `unreachable: ${outcome.text}`
    case 'timedOut':
      return `timed out: ${outcome.limit}`
    case 'brokeOff':
      return `broke off ${outcome.afterFirstByte ? 'in the middle of' : 'before'} its answer`
    case 'moved':
      return 'moved elsewhere'
    case 'gaveWay':
      return 'gave its seat to a person'
    case 'overtaken':
      return 'overtaken by another backend'
    case 'clientLeft':
      return 'client left'
  }
}
