import { expect, it } from 'vitest'
import { lineOf } from './says.ts'
import { StormWorld, usualOptions } from './storm.ts'

// Fifty of them, and storms for hours, are run by hand: see run.ts.
it.each([1, 2, 3])(
  'weathers a storm of ten thousand requests, seed %i',
  async (seed) => {
    await using world = new StormWorld()
    await world.start()
    const storm = await world.weather(seed, usualOptions)
    console.log(lineOf(storm))
    expect(storm.complaints, `again: node test/storms/run.ts --seed ${seed}`).toEqual([])
    expect(storm.exchanges).toBe(usualOptions.exchanges)
    // One in which nobody is served shows nothing, and neither does one in which everybody is.
    const { complete, error, refused, left } = storm.verdicts
    expect(complete).toBeGreaterThan(0.6 * usualOptions.exchanges)
    expect(error).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(50)
    expect(left).toBeGreaterThan(100)
    const { retried, continued } = storm.afterwards.full
    expect(retried).toBeGreaterThan(100)
    expect(continued).toBeGreaterThan(10)
  },
  150_000,
)
