/** Answers that break more than once, and legs whose frames come in any company. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Simulator } from '../../../backends/simulator/server.ts'
import type { Method } from '../../../src/dialects/continuing/continuing.ts'
import { nothingBefore } from '../../../src/dialects/continuing/continuing.ts'
import { figuresLeftOut, joinedEqual, outputCountIn } from './compare.ts'
import {
  allKinds,
  continuing,
  fastSimulator,
  framesIn,
  goOn,
  type Json,
  kinds,
  passing,
  post,
  requestFor,
} from './harness.ts'

let simulator: Simulator
beforeAll(async () => {
  simulator = await fastSimulator({ answerTokens: undefined })
})
afterAll(() => simulator.close())

const spoken = fc.constantFrom<Method>('trailing', 'restart')

describe.each(allKinds)('$name', (kind) => {
  it('is one answer however often it breaks', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }),
        fc.array(fc.tuple(fc.nat(), spoken), { minLength: 2, maxLength: 3 }),
        async (question, breaks) => {
          const body = kind.body(`? ${question}`, kind.sse ? usageFor(kind.name) : {})
          const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
          // The head, and at the end what lies behind the text, are the other test's.
          let had = whole.slice(0, 1 + (breaks[0]![0] % (whole.length - 8)))
          for (const [index, [, method]] of breaks.entries()) {
            const gone = await goOn(simulator, kind, body, had, { method })
            expect(gone.end).toEqual({ kind: 'done' })
            const nextBreak = breaks[index + 1]
            const kept =
              nextBreak === undefined
                ? gone.frames
                : gone.frames.slice(0, nextBreak[0] % Math.max(1, gone.frames.length - 8))
            had = [...had, ...kept]
          }
          joinedEqual(had, whole, kind.name, figuresLeftOut)
          expect(outputCountIn(had)).toBe(outputCountIn(whole))
        },
      ),
      { numRuns: 12 },
    )
  })

  it('gives the same whether frames come one by one or together', async () => {
    const body = kind.body('Why does it rain?')
    const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
    const { emitted, request } = requestFor(kind, body, whole.slice(0, 9), { method: 'trailing' })
    if ('cannot' in request) throw new Error(request.cannot)
    const stream = await post(simulator.url, request.path, request.body)
    const frames = framesIn(stream, request.path.startsWith('/v1/'))
    const through = (parts: readonly Buffer[]) => {
      const leg = continuing(kind).leg(emitted, request, passing(), nothingBefore)
      const out = parts.map((part) => leg.feed(part) ?? Buffer.alloc(0))
      return Buffer.concat(out).toString('utf8')
    }
    const alone = through(frames)
    expect(alone).not.toBe('')
    fc.assert(
      fc.property(fc.array(fc.nat({ max: frames.length }), { maxLength: 8 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), frames.length]
        const parts = places.slice(1).map((to, at) => Buffer.concat(frames.slice(places[at], to)))
        expect(through(parts)).toBe(alone)
      }),
    )
  })
})

const usageFor = (name: string): Json =>
  name === kinds.openai.name || name === kinds.completions.name
    ? { stream_options: { include_usage: true } }
    : {}
