import { describe, expect, it } from 'vitest'
import { candidatesFor } from '../../src/routing/able.ts'
import { endpointOf } from '../routing/help.ts'
import { exchangeFor, recordingClient } from './help.ts'

const endpoints = [2_048, 8_192].map((contextLoaded, index) =>
  endpointOf('ab'[index]!, { m: { contextLoaded } }),
)

function fitting(op: 'chat' | 'embed'): string[] {
  const exchange = exchangeFor(recordingClient(), { ask: { op, textBytes: 20_000 } })
  // What it costs is the reading of all of it.
  expect(exchange.size.textBytes).toBe(20_000)
  return candidatesFor(endpoints, exchange.need(undefined, 4), []).map(
    ({ endpoint }) => endpoint.name,
  )
}

describe('what an exchange needs', () => {
  it('is a context that holds its prompt', () => {
    expect(fitting('chat')).toEqual(['b'])
  })

  // The inputs of a batch to embed were added up as if they were one prompt. Machines whose context holds every one of
  // them had no part in it.
  it('is no context for all inputs to embed together', () => {
    expect(fitting('embed')).toEqual(['a', 'b'])
  })
})
