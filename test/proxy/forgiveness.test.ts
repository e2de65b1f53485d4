import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/core/outcome.ts'
import { backendOf, breakerSettings, poolOf } from '../pool/help.ts'

const model = 'm:latest'
const death: Outcome = { kind: 'brokeOff', afterFirstByte: false, reusedSocket: false, text: '' }
const crash: Outcome = { kind: 'refused', status: 500, why: 'crashed', text: '' }

function endpointThatTrips() {
  const pool = poolOf([backendOf('a', { slots: 4 })], {
    breaker: { ...breakerSettings, failuresInRow: 1 },
  })
  const endpoint = pool.endpoint('a')!
  const take = () => endpoint.take(model, { seat: true, asTry: false })!
  return { endpoint, take }
}

describe('a death that may be the fault of the request', () => {
  it.each([death, crash])('opens no breaker while it is forgiven: $kind', (outcome) => {
    const { endpoint, take } = endpointThatTrips()
    take().settle(outcome, { forgiven: true })
    expect(endpoint.admittingModel(model)).toBe(true)
    expect(endpoint.lastError).toBeUndefined()
    expect(endpoint.inFlight).toBe(0)
  })

  it.each([death, crash])(
    'opens it when it is held against the backend after all: $kind',
    (outcome) => {
      const { endpoint, take } = endpointThatTrips()
      take().settle(outcome, { forgiven: true })
      endpoint.judge(model, outcome, 'bad')
      expect(endpoint.admittingModel(model)).toBe(false)
    },
  )

  it('rests only the model when its runner crashed, and the whole server when that was lost', () => {
    for (const [outcome, host] of [
      [crash, true],
      [death, false],
    ] as const) {
      const { endpoint, take } = endpointThatTrips()
      take().settle(outcome)
      expect(endpoint.admitting).toBe(host)
      expect(endpoint.admittingModel(model)).toBe(false)
    }
  })

  it('gives a seat back once, however often it is settled', () => {
    const { endpoint, take } = endpointThatTrips()
    {
      using lease = take()
      take()
      lease.settle({ kind: 'answered', status: 200 })
      lease.settle(death)
    }
    expect(endpoint.inFlight).toBe(1)
    expect(endpoint.admittingModel(model)).toBe(true)
  })
})
