import { expect, it } from 'vitest'
import type { Outcome } from '../../src/core/outcome.ts'
import { sayOutcome } from '../../src/pool/outcome-words.ts'

it.each<[Outcome, string]>([
  [{ kind: 'answered', status: 200 }, 'answered 200'],
  [{ kind: 'refused', status: 500, why: 'crashed', text: 'a body' }, 'refused 500 crashed'],
  [{ kind: 'unreachable', text: 'connection refused' }, 'unreachable: connection refused'],
  [{ kind: 'timedOut', limit: 'firstByte', text: 'x' }, 'timed out: firstByte'],
  [
    { kind: 'brokeOff', afterFirstByte: true, reusedSocket: false, text: 'x' },
    'broke off in the middle of its answer',
  ],
  [
    { kind: 'brokeOff', afterFirstByte: false, reusedSocket: true, text: 'x' },
    'broke off before its answer',
  ],
  [{ kind: 'moved', text: 'x' }, 'moved elsewhere'],
  [{ kind: 'overtaken', text: 'x' }, 'overtaken by another backend'],
  [{ kind: 'clientLeft' }, 'client left'],
])('says %o as "%s"', (outcome, words) => {
  expect(sayOutcome(outcome)).toBe(words)
})
