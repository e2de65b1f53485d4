import { describe, expect, it } from 'vitest'
import { Restarts } from '../../backends/agent/restart.ts'
import { handClock } from '../help/clock.ts'
import { until } from '../help/until.ts'

describe('a restart that is ordered', () => {
  // An Ollama that hung while it loaded again what it had in memory could not be restarted: the order was taken for the
  // one that was being carried out, and said to be done.
  it('is carried out also while the models of the last one are loaded, which never ends', async () => {
    const done: string[] = []
    const restarts = new Restarts({
      permit: {
        hold: () => void done.push('hold'),
        goOn: () => void done.push('go on'),
        whenIdle: () => Promise.resolve(),
      },
      supervisor: {
        restart: async () => {
          done.push('restart')
          return true
        },
      },
      looks: {
        preload(models) {
          done.push(`load ${models.join()}`)
          return new Promise<void>(() => {})
        },
      },
      clock: handClock(),
      drainMs: () => 1_000,
      resident: () => ['m'],
      look: async () => {},
      say() {},
    })
    const once = ['hold', 'restart', 'go on', 'load m']
    restarts.begin()
    restarts.begin()
    await until(() => done.length >= 4)
    expect(done).toEqual(once)
    restarts.begin()
    await until(() => done.length >= 8)
    expect(done).toEqual([...once, ...once])
  })
})
