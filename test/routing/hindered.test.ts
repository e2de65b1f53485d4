import { describe, expect, it } from 'vitest'
import type { Keeping } from '../../src/routing/field.ts'
import { needOf } from './help.ts'
import { type Machine, Scene, size } from './scene.ts'

/** What stands in the way of a request that nothing is found for; undefined: something is. */
function hindered(scene: Scene, priority: 'normal' | 'batch' = 'normal'): string | undefined {
  const { dispatcher, line, nowMs } = scene
  const waiting = dispatcher.imagined(needOf(), size, priority, nowMs)
  const would = dispatcher.wouldDo(waiting, line, nowMs)
  if (would.kind !== 'putOff') return undefined
  return would.hindered.map(({ backend, reason }) => `${backend} ${reason}`).join(', ')
}

const loadsNothing: Keeping = {
  evictionPriceS: () => 0,
  evicts: () => false,
  mayLoad: () => false,
  isSwapping: () => false,
}
const cold = (name: string): Machine => ({ name, tokenS: 0.01, resident: false })

describe('what stands in the way of a request that nothing is found for', () => {
  it('is nothing where it could begin, or where a seat comes free', () => {
    const scene = new Scene([{ name: 'a', tokenS: 0.01 }])
    expect(hindered(scene)).toBeUndefined()
    scene.arrive()
    expect(hindered(scene)).toBeUndefined()
  })

  it('is its load where nobody lets it be loaded', () => {
    const keeping = loadsNothing
    expect(hindered(new Scene([cold('a'), cold('b')], { keeping }))).toBe('a noLoad, b noLoad')
  })

  it('are the seats that are kept from batch work', () => {
    const scene = new Scene([{ name: 'quick', tokenS: 0.01, seats: 8 }, cold('cold')], {
      keeping: loadsNothing,
    })
    scene.dispatcher.arrived('m:latest', 'interactive', scene.nowMs)
    for (let each = 0; each < 6; each++) scene.arrive({ priority: 'normal' })
    expect(hindered(scene)).toBeUndefined()
    expect(hindered(scene, 'batch')).toBe('quick kept, cold noLoad')
  })
})
