import { expect, it } from 'vitest'
import { Losses } from '../../src/pool/losses.ts'

it('a loss is in company when another one comes within a quarter of a second, before or behind it', () => {
  const losses = new Losses()
  losses.add(1_000)
  expect(losses.inCompany(1_000)).toBe(false)
  losses.add(1_200)
  losses.add(1_400)
  expect([1_000, 1_200, 1_400].map((atMs) => losses.inCompany(atMs))).toEqual([true, true, true])
})

it('a loss long after another one is alone, and of an older one nothing is known, so nobody is accused', () => {
  const losses = new Losses()
  losses.add(1_000)
  losses.add(2_000)
  expect(losses.inCompany(2_000)).toBe(false)
  expect(losses.inCompany(1_000)).toBe(true)
})
