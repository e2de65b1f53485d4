import { describe, expect, it } from 'vitest'
import { handClock } from '../help/clock.ts'
import { backendOf, poolOf, ps } from './help.ts'

/** One server of which the models in memory are told by hand. */
function server() {
  const clock = handClock()
  const pool = poolOf([backendOf('a')], { models: ['m', 'n', 'o'], clock })
  const endpoint = pool.endpoint('a')!
  const lists = (...models: string[]) => {
    clock.pass(1_000)
    endpoint.learnInMemory(ps(models))
  }
  return { clock, endpoint, lists }
}
const evicts = (endpoint: ReturnType<typeof server>['endpoint'], model: string) =>
  endpoint.model(`${model}:latest`)!.evicts

describe('what an endpoint learns of its memory', () => {
  it('is that something does not fit beside what it pushed out', () => {
    const { endpoint, lists } = server()
    lists('m')
    expect(evicts(endpoint, 'n')).toBe(false)
    lists('n')
    expect(evicts(endpoint, 'm')).toBe(true)
  })

  it('is the same after a load of our own, which is known before it is listed', () => {
    // It was taken for loaded beside the old one at once, so that nothing new seemed to have come: a server that had
    // room for one was held to have room for two, and clients pushed one another out.
    const { endpoint, lists } = server()
    lists('m')
    endpoint.learnLoaded('n:latest')
    expect(endpoint.residentAs('m:latest')).toBe(true)
    lists('n')
    expect(evicts(endpoint, 'm')).toBe(true)
  })

  it('is the same when both are gone again before they are listed', () => {
    const { endpoint, lists } = server()
    lists('m')
    endpoint.learnLoaded('n:latest')
    lists()
    expect(endpoint.memory.isTight).toBe(true)
  })

  // A load takes longer than the time between two looks, so that the one that it pushed out was seen to go alone. What
  // fits was never learned, and loads went into full servers, which then chose for themselves who had to leave.
  it.each([
    [300_000, true],
    [1_000, false],
  ])(
    'is the same when the load takes longer than two looks; with %i ms left it had to go: %s',
    (leftMs, hadTo) => {
      const { clock, endpoint, lists } = server()
      const expiresAt = new Date(clock.wall() + leftMs).toISOString()
      endpoint.learnInMemory(ps(['m', 'n']).map((each) => ({ ...each, expiresAt })))
      for (let look = 0; look < 5; look++) lists('n')
      expect(endpoint.memory.isTight).toBe(false)
      lists('n', 'o')
      expect(endpoint.memory.isTight).toBe(hadTo)
      expect(evicts(endpoint, 'm')).toBe(hadTo)
    },
  )

  // One that was asked to leave may have been there still when the other was pushed out. Two were then held not to fit,
  // and as nobody tried again they waited for each other beside idle machines.
  it('counts what was asked to leave in the same moments', () => {
    const { endpoint, lists } = server()
    lists('m', 'n')
    endpoint.parting.add('m:latest')
    lists('n')
    endpoint.parting.delete('m:latest')
    lists('o')
    expect(endpoint.memory.isTight).toBe(true)
    expect(evicts(endpoint, 'n')).toBe(false)
  })

  // One that had been pushed out and came back left its mark behind: whoever was asked to leave next seemed to have had to.
  it('is nothing of one that was pushed out and is back', () => {
    const { clock, endpoint, lists } = server()
    const expiresAt = new Date(clock.wall() + 300_000).toISOString()
    const listsTimed = (...models: string[]) =>
      endpoint.learnInMemory(ps(models).map((each) => ({ ...each, expiresAt })))
    listsTimed('m', 'n')
    listsTimed('n')
    endpoint.parting.add('n:latest')
    listsTimed()
    endpoint.parting.delete('n:latest')
    listsTimed('m')
    expect(endpoint.memory.isTight).toBe(false)
    lists('m', 'o')
    expect(endpoint.memory.isTight).toBe(false)
  })

  it('is nothing where a model left by itself, or was asked to leave', () => {
    const { endpoint, lists } = server()
    lists('m')
    lists()
    lists('n')
    expect(endpoint.memory.isTight).toBe(false)
    endpoint.parting.add('n:latest')
    lists('o')
    expect(endpoint.memory.isTight).toBe(false)
  })

  it('is forgotten when it comes back, perhaps as another machine', () => {
    const { endpoint, lists } = server()
    lists('m')
    lists('n')
    endpoint.returned()
    expect(endpoint.memory.isTight).toBe(false)
  })

  it('keeps the seats of a model that leaves from everybody', () => {
    const { endpoint, lists } = server()
    lists('m')
    expect(endpoint.model('m:latest')!.seatFree).toBe(true)
    endpoint.parting.add('m:latest')
    expect([endpoint.model('m:latest')!.seatFree, endpoint.model('m:latest')!.seatToTry]).toEqual([
      false,
      false,
    ])
    expect(endpoint.model('n:latest')!.seatFree).toBe(true)
  })
})
