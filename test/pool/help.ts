import type { Backend } from '../../src/core/backend.ts'
import { backendAt } from '../../src/core/backend.ts'
import type { Clock } from '../../src/core/clock.ts'
import { deafObserver, type Figures, type Observer } from '../../src/core/observer.ts'
import type { BreakerSettings } from '../../src/core/settings.ts'
import { readPs, readTags } from '../../src/pool/catalogue.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'
import { Pool } from '../../src/pool/pool.ts'
import { handClock } from '../help/clock.ts'

export const breakerSettings: BreakerSettings = {
  failuresInRow: 3,
  failureShare: 0.5,
  windowSize: 10,
  restMs: 1_000,
  restMsMax: 8_000,
  slowStartMs: 10_000,
}

/** Dice that always show the middle: nothing is jittered. */
export const evenDice = { roll: () => 0.5 }

export function backendOf(name: string, more: Partial<Backend> = {}): Backend {
  return { ...backendAt(name, `http://${name}.test:11434`), ...more }
}

export interface ModelGiven {
  readonly name: string
  readonly digest?: string
  readonly capabilities?: readonly string[]
  readonly modified_at?: string
  readonly remote_host?: string
}

/** A pool whose endpoints are ready and list these models, without anybody having been asked. */
export function poolOf(
  backends: readonly Backend[],
  options: {
    models?: readonly (string | ModelGiven)[]
    clock?: Clock
    observer?: Partial<Observer>
    breaker?: BreakerSettings
  } = {},
): Pool {
  const pool = new Pool(backends, {
    clock: options.clock ?? handClock(),
    dice: evenDice,
    observer: deafObserver(options.observer),
    breaker: options.breaker ?? breakerSettings,
  })
  for (const endpoint of pool.endpoints) makeReady(endpoint, options.models ?? ['m'])
  pool.learned()
  return pool
}

export function makeReady(endpoint: Endpoint, models: readonly (string | ModelGiven)[]): void {
  endpoint.health = { ...endpoint.health, state: 'ready', reason: '' }
  endpoint.learnOnDisk(tags(models))
}

export function tags(models: readonly (string | ModelGiven)[]) {
  return readTags({
    models: models.map((model) =>
      typeof model === 'string'
        ? { model, digest: `digest of ${model}`, capabilities: ['completion'] }
        : { ...model, digest: model.digest ?? `digest of ${model.name}` },
    ),
  })
}

export function ps(models: readonly (string | { model: string; context_length?: number })[]) {
  return readPs({
    models: models.map((model) => {
      const entry = typeof model === 'string' ? { model } : model
      return { ...entry, digest: `digest of ${entry.model}` }
    }),
  })
}

/** The figures of an answer that took so long, of which it was kept waiting so long. */
export function figuresOf(totalMs: number, hiddenMs: number): Figures {
  return {
    totalNs: totalMs * 1e6,
    loadNs: 0,
    promptTokens: 10,
    promptNs: 1e6,
    outputTokens: 10,
    outputNs: (totalMs - hiddenMs - 1) * 1e6,
  }
}
