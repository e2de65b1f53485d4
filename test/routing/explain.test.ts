import { describe, expect, it } from 'vitest'
import type { EndpointView } from '../../src/core/endpoint-view.ts'
import { explain } from '../../src/routing/explain.ts'
import type { Tastes } from '../../src/routing/field.ts'
import { needOf } from './help.ts'
import { type Machine, Scene, size } from './scene.ts'

/** What is said of the place that the next one would get, and by how much it costs more than another. */
function said(scene: Scene): { reason: string; backend: string; isDearer: boolean } {
  const { dispatcher, line, nowMs } = scene
  const waiting = dispatcher.imagined(needOf(), size, 'normal', nowMs)
  const action = dispatcher.wouldDo(waiting, line, nowMs)
  if (action.kind !== 'start') throw new Error('nothing would begin')
  const { reason, backend, candidates } = explain(action.table, action.barred, 0)
  const costs = candidates.map(({ cost_s }) => cost_s ?? Number.POSITIVE_INFINITY)
  return { reason, backend, isDearer: costs[0]! > Math.min(...costs) }
}

function of(machines: readonly Machine[], tastes: Tastes = {}) {
  return said(new Scene(machines, tastes))
}

const quick = { name: 'quick', tokenS: 0.01 }
const nearly = { name: 'nearly', tokenS: 0.0102 }

describe('why a place was chosen', () => {
  it('is its cost where it is the least, and nothing where there is no other', () => {
    expect(of([nearly, quick])).toEqual({ reason: 'least cost', backend: 'quick', isDearer: false })
    expect(of([quick]).reason).toBe('the only one that can serve it')
  })

  // "Least cost" was said of places that stood in the same table with more than others. They had been as good as
  // equal, and something else had decided between them.
  it('is its turn where it costs as good as the least', () => {
    const scene = new Scene([quick, nearly])
    scene.come()
    expect(scene.walk()).toBe('1@quick')
    scene.clear()
    expect(said(scene)).toEqual({
      reason: 'as good as the cheapest as far as is known, and next in turn',
      backend: 'nearly',
      isDearer: true,
    })
  })

  it('is its cache where it costs as good as the least', () => {
    const cachedTokens = ({ name }: EndpointView) => (name === 'nearly' ? 0.1 : 0)
    expect(of([quick, nearly], { cachedTokens })).toEqual({
      reason:
        'as good as the cheapest as far as is known, and with more of the prompt in its cache',
      backend: 'nearly',
      isDearer: true,
    })
  })

  it('is that it can begin where the cheapest has no seat free at this moment', () => {
    const slower = { name: 'slower', tokenS: 0.0147 }
    const scene = new Scene([quick, slower])
    scene.arrive()
    expect(said(scene).reason).toBe('least cost')
    // The seat of the other one comes free half a second later, which is about what the slower one takes longer.
    scene.nowMs += 530
    expect(said(scene)).toEqual({
      reason: 'as good as the cheapest as far as is known, and able to begin now',
      backend: 'slower',
      isDearer: true,
    })
  })
})
