import { expect, it } from 'vitest'
import { type Part, partOf } from '../../../src/split/embed/backlog.ts'
import { Calls } from '../../../src/split/embed/calls.ts'
import { callOf, memberOf } from './batch-help.ts'

const [a, b] = [memberOf('a', { lanes: 2 }), memberOf('b')]

it('there may be as many calls as the queue took, and one more with each answer', () => {
  const calls = new Calls()
  for (let each = 0; each < 3; each++) calls.add(callOf(a))
  expect(calls.isFull).toBe(false)
  calls.narrow()
  expect(calls.isFull).toBe(true)
  calls.widen()
  expect(calls.isFull).toBe(false)
})

it('what is not wanted any more is cancelled, and nothing else', () => {
  const calls = new Calls()
  const cancelled: Part[] = []
  const parts = [partOf(0, 10), partOf(10, 20), partOf(20, 30)]
  for (const part of parts) calls.add(callOf(a, { part }, cancelled))
  calls.add(callOf(b, { part: parts[0]! }, cancelled))
  calls.cancelFrom(20)
  expect(cancelled).toEqual([parts[2]])
  calls.cancelPart(parts[0]!)
  expect(cancelled).toEqual([parts[2], parts[0], parts[0]])
  expect(parts.map((part) => calls.hasPart(part))).toEqual([false, true, false])
  calls.cancelAll()
  expect([cancelled.length, calls.size]).toEqual([4, 0])
})

it('a lane is free when its call is done, and one that is late needs half as long again', () => {
  const calls = new Calls()
  calls.add(callOf(a, { sinceMs: 0, onSeatSinceMs: 40 }))
  calls.add(callOf(b, { sinceMs: 30 }))
  expect([calls.busyLanes(a), calls.busyLanes(b)]).toEqual([1, 1])
  const speedOf = ({ machine }: typeof a) => (machine.name === 'a' ? 5 : 3)
  const freeIn = (mine: typeof a, nowMs: number) =>
    calls
      .lanesBeside(mine, [a, b], speedOf, nowMs)
      .map(({ weightPerMs, freeInMs }) => [weightPerMs, freeInMs])
  // Without the lane of `a` that is to be filled.
  expect(freeIn(a, 100)).toEqual([
    [5, 40],
    [3, 30],
  ])
  expect(freeIn(memberOf('c'), 230)).toEqual([
    [5, 95],
    [5, 0],
    [3, 100],
  ])
})
