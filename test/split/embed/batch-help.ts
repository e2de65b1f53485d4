import { type Part, partOf } from '../../../src/split/embed/backlog.ts'
import type { Call } from '../../../src/split/embed/calls.ts'
import type { Machine, Member } from '../../../src/split/embed/plan.ts'
import { readInput } from '../../../src/split/embed/read.ts'
import { Weights } from '../../../src/split/embed/weight.ts'
import { machineOf } from './help.ts'

export function memberOf(
  name: string,
  more: Partial<Omit<Member, 'machine'>> = {},
  machine: Partial<Machine> = {},
): Member {
  return { machine: machineOf(name, machine), lanes: 1, weightPerMs: 1, isGuess: false, ...more }
}

/** Each item weighs 100. */
export function evenWeights(items: number): Weights {
  const input = Array.from({ length: items }, () => 'x'.repeat(36))
  return new Weights(readInput(Buffer.from(JSON.stringify({ input })))!, 4_096)
}

/** A call that was made at moment 0 and tells when it is cancelled. */
export function callOf(
  member: Member | undefined,
  more: Partial<Omit<Call, 'running'>> & Partial<Call['running']> = {},
  cancelled: Part[] = [],
): Call {
  const { backend = '', onSeatSinceMs, ...rest } = more
  const part = more.part ?? partOf(0, 10)
  const running = {
    backend,
    onSeatSinceMs,
    answer: new Promise<never>(() => {}),
    cancel: () => void cancelled.push(part),
  }
  return { member, sinceMs: 0, expectedMs: 100, ...rest, part, running }
}
