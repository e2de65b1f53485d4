import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Fleet } from '../help/fleet.ts'
import { kindsFleet, type RoutePath, routes, tell } from './continuing-fleet.ts'

const model = 'm-continues'
const paths = Object.keys(routes) as RoutePath[]
let fleet: Fleet

beforeAll(async () => {
  fleet = await kindsFleet({}, [model])
})
afterAll(() => fleet[Symbol.asyncDispose]())
beforeEach(() => {
  for (const { faults } of fleet.simulators) faults.clear()
})

/** The fields `chasqui` of an answer's frames; mostly there are none. */
async function explained(path: RoutePath, headers: Record<string, string>) {
  const route = routes[path]
  fleet.simulators[0]!.faults.replace([{ kind: 'reset-after-chunks', chunks: 12, path, count: 1 }])
  const body = route.body(model, 'tell me', { temperature: 0 })
  const told = await tell(fleet.url, route, body, headers)
  expect(told).toMatchObject({ ends: 1, errors: [] })
  return told.frames.map((frame) => frame['chasqui'])
}

describe('an answer that went on elsewhere', () => {
  it.each(paths)(
    'says where in its last object of %s, if the client asks for that',
    async (path) => {
      const fields = await explained(path, { 'X-Chasqui-Explain': '1' })
      const continued = [
        { from: 'a', to: 'b', method: expect.stringMatching(/^(trailing|raw|restart)$/) },
      ]
      expect(fields.at(-1)).toEqual({ continued })
      expect(fields.slice(0, -1).every((field) => field === undefined)).toBe(true)
    },
  )

  it('says nothing to others', async () => {
    const fields = await explained('/api/chat', {})
    expect(fields.every((field) => field === undefined)).toBe(true)
  })

  it('is in the log and in the metrics', async () => {
    await explained('/api/chat', {})
    expect(fleet.ended.at(-1)!.continued).toEqual([
      {
        from: 'a',
        to: 'b',
        method: expect.any(String),
        result: 'whole',
        afterMs: expect.any(Number),
        askedWallMs: expect.any(Number),
      },
    ])
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
    expect(metrics).toMatch(/^chasqui_continuation_gap_seconds_count [1-9]/m)
  })
})
