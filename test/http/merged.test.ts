import { expect, test } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { realClock } from '../../src/core/clock.ts'
import { realDice } from '../../src/core/dice.ts'
import { deafObserver } from '../../src/core/observer.ts'
import { routes } from '../../src/dialects/routes.ts'
import { merged } from '../../src/http/merged.ts'
import { readTags } from '../../src/pool/catalogue.ts'
import { Pool } from '../../src/pool/pool.ts'

const tags = routes.find(({ path }) => path === '/api/tags')!

/** Backends that list one model each; `ready` says who answers. */
function poolOf(rows: readonly { digest: string; ready: boolean }[]): Pool {
  const names = rows.map((_, index) => String.fromCharCode(97 + index))
  const backends = names.map((name) => backendAt(name, `http://${name}.internal:11434`))
  const breaker = {
    failuresInRow: 5,
    failureShare: 0.5,
    windowSize: 20,
    restMs: 1_000,
    restMsMax: 60_000,
    slowStartMs: undefined,
  }
  const pool = new Pool(backends, {
    clock: realClock(),
    dice: realDice(),
    observer: deafObserver(),
    breaker,
  })
  for (const [index, { digest, ready }] of rows.entries()) {
    const endpoint = pool.endpoints[index]!
    endpoint.learnOnDisk(readTags({ models: [{ name: 'm:latest', model: 'm:latest', digest }] }))
    endpoint.health = { ...endpoint.health, state: ready ? 'ready' : 'away' }
  }
  pool.learned()
  return pool
}

test('the weights that a list shows are those that serve, whoever is away', () => {
  const pool = poolOf([
    { digest: 'x', ready: true },
    { digest: 'y', ready: false },
    { digest: 'y', ready: false },
  ])
  expect(merged(tags, pool)).toMatchObject({ models: [{ digest: 'x' }] })
})

test('what only a server has that is away is still listed', () => {
  expect(merged(tags, poolOf([{ digest: 'x', ready: false }]))).toMatchObject({
    models: [{ digest: 'x' }],
  })
})

test('what a server was told to delete while it was away is not', () => {
  const pool = poolOf([{ digest: 'x', ready: false }])
  const [endpoint] = pool.endpoints
  endpoint!.owedDeletes.add([...endpoint!.onDisk.keys()][0]!)
  endpoint!.learnOnDisk([...endpoint!.onDisk.values()])
  expect(merged(tags, pool)).toEqual({ models: [] })
})
