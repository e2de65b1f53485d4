import type { ExchangeEnded } from '../../src/core/observer.ts'

export function exchangeEnded(more: Partial<ExchangeEnded> = {}): ExchangeEnded {
  return {
    id: 'x-1',
    family: 'ollama',
    op: 'chat',
    model: 'm:latest',
    tenant: 'anna',
    priority: 'normal',
    ending: 'ok',
    status: 200,
    code: undefined,
    backend: 'walnut',
    attempts: 1,
    trail: [],
    continued: [],
    waitMs: 12.4,
    firstByteMs: 250.6,
    totalMs: 1_000,
    bytesIn: 300,
    bytesOut: 5_000,
    figures: {
      totalNs: 9e8,
      loadNs: 1e6,
      promptTokens: 26,
      promptNs: 1e8,
      outputTokens: 98,
      outputNs: 7e8,
    },
    ...more,
  }
}
