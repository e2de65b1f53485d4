import { expect, it } from 'vitest'
import { Recent } from '../../src/core/recent.ts'

it('forgets what was used longest ago, once it is full', () => {
  const recent = new Recent<string, number>(3)
  recent.set('a', 1)
  recent.set('b', 2)
  recent.set('c', 3)
  expect(recent.get('a')).toBe(1)
  expect(recent.peek('b')).toBe(2)
  recent.set('d', 4)
  expect([...recent]).toEqual([
    ['c', 3],
    ['a', 1],
    ['d', 4],
  ])
  recent.set('c', 5)
  recent.set('e', 6)
  expect([recent.size, recent.get('a'), recent.get('c')]).toEqual([3, undefined, 5])
})

it('keeps no order while it is less than half full', () => {
  const recent = new Recent<string, number>(10)
  for (const key of ['a', 'b', 'c']) recent.set(key, 0)
  recent.get('a')
  recent.set('b', 1)
  expect([...recent].map(([key]) => key)).toEqual(['a', 'b', 'c'])
  recent.delete('b')
  expect(recent.size).toBe(2)
})

it('does not find again what it found last and has forgotten since', () => {
  const recent = new Recent<string, number>(2)
  recent.set('a', 1)
  expect(recent.get('a')).toBe(1)
  recent.delete('a')
  expect([recent.peek('a'), recent.get('a')]).toEqual([undefined, undefined])
  recent.set('a', 2)
  recent.set('b', 3)
  expect(recent.peek('a')).toBe(2)
  recent.set('c', 4)
  expect([recent.peek('a'), recent.peek('b'), recent.get('c')]).toEqual([undefined, 3, 4])
})
