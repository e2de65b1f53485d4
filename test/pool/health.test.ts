import { describe, expect, it } from 'vitest'
import { freshHealth, type Health, healthAfter } from '../../src/pool/health.ts'

const settings = { fall: 3, rise: 2 }

/** `+` a good look, `-` a bad one. */
const told = (looks: string): Health =>
  [...looks].reduce(
    (health, look, index) =>
      healthAfter(
        health,
        look === '+' ? { ok: true } : { ok: false, reason: `reason ${index}` },
        index * 100,
        settings,
      ),
    freshHealth,
  )

describe('the health of a backend', () => {
  it.each([
    ['is ready after one good look at the start', '+', 'ready'],
    ['is away after one bad look at the start', '-', 'away'],
    ['stands two bad looks', '+--', 'ready'],
    ['falls after three in a row', '+---', 'away'],
    ['counts a row anew after a good look', '+--+--', 'ready'],
    ['does not rise after one good look', '+---+', 'away'],
    ['rises after two in a row', '+---++', 'ready'],
    ['counts the good ones anew after a bad look', '+---+-+', 'away'],
    ['needs as many from the start when its first look failed', '-++', 'ready'],
  ])('%s', (_, looks, state) => {
    expect(told(looks).state).toBe(state)
  })

  it('says why it is away by the newest look, and since when by the look that turned it', () => {
    const health = told('+-----')
    expect(health.reason).toBe('reason 5')
    expect(health.sinceMs).toBe(300)
    expect(told('+---++').reason).toBe('')
  })
})
