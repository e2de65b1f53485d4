import { describe, expect, it } from 'vitest'
import { sparesFor } from '../../src/proxy/spares.ts'

describe('connections kept ready', () => {
  it('are as many as the others’ streams would need, spread over who is left', () => {
    const spares = sparesFor(
      new Map([
        ['oak', 90],
        ['elm', 30],
      ]),
      ['oak', 'elm', 'fir', 'yew'],
    )
    expect([...spares]).toEqual([
      ['oak', 10],
      ['elm', 30],
      ['fir', 30],
      ['yew', 30],
    ])
  })

  it('are none for a few streams, none for a server that is alone, and never more than 64', () => {
    expect(sparesFor(new Map([['oak', 3]]), ['oak', 'elm']).get('elm')).toBe(0)
    expect(sparesFor(new Map([['oak', 500]]), ['oak']).get('oak')).toBe(0)
    expect(sparesFor(new Map([['oak', 5_000]]), ['oak', 'elm']).get('elm')).toBe(64)
    expect(sparesFor(new Map(), ['oak', 'elm']).get('elm')).toBe(0)
  })
})
