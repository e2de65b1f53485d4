import { describe, expect, it } from 'vitest'
import type { Ask } from '../../src/core/ask.ts'
import type { Figures } from '../../src/core/observer.ts'
import type { Outcome } from '../../src/core/outcome.ts'
import type { PrefixPart } from '../../src/core/prefix.ts'
import type { PlacementSettings } from '../../src/core/settings.ts'
import type { Exchange } from '../../src/proxy/exchange.ts'
import { Placing } from '../../src/proxy/placing.ts'
import { Affinity, type Sending } from '../../src/routing/affinity/affinity.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, poolOf } from '../pool/help.ts'
import { exchangeFor, recordingClient } from './help.ts'

const placement: PlacementSettings = { affinity: true, aliases: {}, fallbacks: {}, rules: [] }
const model = 'm:latest'
const bytesEach = 4_000
const answered: Outcome = { kind: 'answered', status: 200 }

/** A text of so many pieces of 1,000 tokens each. */
function text(name: number, pieces: number): PrefixPart {
  const highs = Array.from({ length: pieces }, (_, at) => name * 1_000 + at + 1)
  return { highs, lows: highs, bytesAt: highs.map((_, at) => (at + 1) * bytesEach) }
}

const figures = (promptTokens: number, loadNs = 0): Figures => ({
  totalNs: 2e9,
  loadNs,
  promptTokens,
  promptNs: promptTokens * 1e6,
  outputTokens: 10,
  outputNs: 1e9,
})

function stage() {
  const clock = handClock()
  const pool = poolOf([backendOf('a')], { clock })
  const endpoint = pool.endpoint('a')!
  const affinity = new Affinity(() => [])
  const placing = new Placing({ affinity, settings: { placement }, pool, clock })
  const exchangeOf = (name: number, pieces: number, ask: Partial<Ask> = {}) => {
    const prefix = { tools: undefined, system: undefined, context: undefined }
    return exchangeFor(recordingClient(), {
      ask: {
        prefix: { ...prefix, text: text(name, pieces) },
        textBytes: pieces * bytesEach,
        ...ask,
      },
    })
  }
  const end = (exchange: Exchange, sending: Sending, said: Figures, outcome = answered) => {
    exchange.figures = said
    placing.ended(exchange, endpoint, sending, outcome)
  }
  return {
    endpoint,
    exchangeOf,
    send: (exchange: Exchange) => placing.sent(exchange, 'a')!,
    end,
    /** Sent, and read from beginning to end. */
    serve(exchange: Exchange, promptTokens: number): void {
      end(exchange, placing.sent(exchange, 'a')!, figures(promptTokens))
    },
    cachedOf: (name: number) =>
      affinity.cachedTokens('a', exchangeOf(name, 4).prompt!, clock.now()),
  }
}

describe('what is learned of a context', () => {
  it('comes from a prompt that was cut', () => {
    const { endpoint, exchangeOf, serve } = stage()
    serve(exchangeOf(1, 1), 1_000)
    serve(exchangeOf(2, 9), 4_000)
    expect(endpoint.contextLoaded(model)).toBe(4_096)
  })

  // Tokens of pictures, sound, tools and a context that is sent back are counted, but are no text of the prompt. One
  // such answer made all later prompts look as if they had been cut, and the machine was passed over for long ones.
  it.each<[string, Partial<Ask>]>([
    ['pictures', { needs: ['vision'] }],
    ['sound', { needs: ['audio'] }],
    ['tools', { needs: ['tools'] }],
    [
      'tokens that are sent back',
      {
        prefix: { tools: undefined, system: undefined, context: text(3, 1), text: text(4, 1) },
      },
    ],
  ])('does not come from what is no text: %s', (_, ask) => {
    const { endpoint, exchangeOf, serve } = stage()
    serve(exchangeOf(1, 1, { ...ask, textBytes: 40 }), 4_000)
    serve(exchangeOf(2, 1), 1_000)
    expect(endpoint.contextLoaded(model)).toBeUndefined()
  })

  // All inputs of a batch to embed were taken for one prompt, which each of them is. Their sum says nothing of a context.
  it('does not come from inputs to embed', () => {
    const { endpoint, exchangeOf, serve } = stage()
    serve(exchangeOf(1, 1), 1_000)
    serve(exchangeOf(2, 9, { op: 'embed' }), 4_000)
    expect(endpoint.contextLoaded(model)).toBeUndefined()
  })
})

describe('what is in memory after a load', () => {
  // Everybody who had waited for a load wiped what the new runner had read since. The first of them was not remembered
  // at all.
  it('is what all those sent who waited for it', () => {
    const { exchangeOf, send, end, cachedOf, serve } = stage()
    serve(exchangeOf(1, 3), 3_000)
    const [second, third] = [exchangeOf(2, 3), exchangeOf(3, 3)]
    const [sendingOfSecond, sendingOfThird] = [send(second), send(third)]
    end(second, sendingOfSecond, figures(3_000, 5e9))
    end(third, sendingOfThird, figures(3_000, 5e9))
    expect(cachedOf(1)).toBe(0)
    expect(cachedOf(2)).toBeGreaterThan(1_000)
    expect(cachedOf(3)).toBeGreaterThan(1_000)
  })

  it('is not wiped by the death of the runner before', () => {
    const { exchangeOf, send, end, cachedOf, serve } = stage()
    const [first, second] = [exchangeOf(1, 3), exchangeOf(2, 3)]
    const [sendingOfFirst, sendingOfSecond] = [send(first), send(second)]
    const lost: Outcome = { kind: 'refused', status: 500, why: 'crashed', text: 'runner died' }
    end(first, sendingOfFirst, figures(0), lost)
    serve(exchangeOf(3, 3), 3_000)
    end(second, sendingOfSecond, figures(0), lost)
    expect(cachedOf(1)).toBe(0)
    expect(cachedOf(3)).toBeGreaterThan(1_000)
  })
})
