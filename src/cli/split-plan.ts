import type { DryRun } from '../split/order.ts'
import { remarks } from './split-report.ts'
import { countOf, oneLine, spanOf } from './split-words.ts'

/** The plan of a run that is not made: every part, who would serve them, and the sum of it last. */
export function linesOfPlan({ by, combine, parts, backends, ...decided }: DryRun): string[] {
  const tokens = parts.reduce((sum, part) => sum + part.tokens, 0)
  const number = String(parts.length).length
  const heaviest = parts.reduce((most, part) => Math.max(most, part.tokens), 0)
  const weight = String(heaviest).length
  const name = Math.max(0, ...backends.map((backend) => oneLine(backend.name).length))
  return [
    ...parts.map(
      (part) =>
        `part ${String(part.part).padStart(number)}  ${String(part.tokens).padStart(weight)} tokens  ${oneLine(part.label)}`,
    ),
    ...backends.map(({ name: backend, seats, context, expected_ms_per_token: each }) => {
      const expected =
        each === undefined ? 'has not answered yet' : speed(each, tokens / parts.length)
      return `${oneLine(backend).padEnd(name)}  ${countOf(seats, 'seat')}  context ${context}  ${expected}`
    }),
    ...remarks(decided),
    `${countOf(parts.length, 'part')} by ${by}, about ${tokens} tokens, combined by ${combine}; nothing was sent`,
  ]
}

function speed(msPerToken: number, tokensEach: number): string {
  return `about ${spanOf(msPerToken * tokensEach)} a part`
}
