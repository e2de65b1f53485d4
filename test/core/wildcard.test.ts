import { expect, it } from 'vitest'
import { matchesAny } from '../../src/core/wildcard.ts'

it.each([
  ['abc', 'abc', true],
  ['ABC', 'aBc', true],
  ['abc', 'ab', false],
  ['abc', 'a*', true],
  ['abc', '*c', true],
  ['abc', 'a*c', true],
  ['ac', 'a*c', true],
  ['a', 'a*a', false],
  ['abcbd', 'a*b*d', true],
  ['abd', 'a*b*b*d', false],
  ['a.c', 'a.c', true],
  ['abc', 'a.c', false],
  ['', '*', true],
  ['abc', '', false],
])('%j by %j: %s', (words, pattern, matches) => {
  expect(matchesAny(words, [pattern])).toBe(matches)
})

it('is quick with many stars', () => {
  const started = performance.now()
  expect(matchesAny('a'.repeat(5_000), [`${'*a'.repeat(50)}*b`])).toBe(false)
  expect(performance.now() - started).toBeLessThan(500)
})
