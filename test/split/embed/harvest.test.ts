import { expect, it } from 'vitest'
import { Harvest } from '../../../src/split/embed/harvest.ts'
import { readPart } from '../../../src/split/embed/join.ts'

const path = '/api/embed'
const broken = (why: string) => ({ kind: 'broken', why, backend: 'a' }) as const

function answerOf(...numbers: number[]) {
  const embeddings = numbers.map((number) => [number])
  const read = readPart(path, Buffer.from(JSON.stringify({ embeddings })), numbers.length)
  if (typeof read === 'string') throw new Error(read)
  return read
}

it('answers are joined in the order of the items, whenever they came', () => {
  const harvest = new Harvest()
  harvest.answered(10, answerOf(10, 11))
  harvest.answered(2, answerOf(2, 3))
  harvest.answered(0, answerOf(0, 1))
  const result = harvest.result(path, 1)
  if (result.kind !== 'joined') throw new Error(result.kind)
  const { embeddings } = JSON.parse(Buffer.concat(result.body).toString())
  expect(embeddings).toEqual([[0], [1], [2], [3], [10], [11]])
})

it('the lowest of the parts that were given up speaks for the batch', () => {
  const harvest = new Harvest()
  harvest.answered(0, answerOf(0))
  expect(harvest.givenUp(20, broken('late'))).toBe(true)
  expect(harvest.givenUp(20, broken('again'))).toBe(false)
  expect(harvest.givenUp(30, broken('later'))).toBe(false)
  expect(harvest.givenUp(10, broken('early'))).toBe(true)
  expect(harvest.result(path, 1)).toEqual(broken('early'))
})

it('nothing but the first part decides before all others are in', () => {
  const harvest = new Harvest()
  harvest.givenUp(1, broken('second'))
  expect(harvest.isDecided).toBe(false)
  harvest.givenUp(0, broken('first'))
  expect(harvest.isDecided).toBe(true)
})
