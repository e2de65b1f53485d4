/** Stop strings that begin in what the client has and end in what another server says. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NextRequest } from '../../../src/dialects/continuing/continuing.ts'
import { StopGuard } from '../../../src/dialects/continuing/stop-guard.ts'
import { textIn } from './compare.ts'
import { feedAll, type Json, type Kind, kinds, passing, requestFor, saysIn } from './harness.ts'

const letters = (maxLength: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b', 'é'), minLength: 1, maxLength })

/** Where a stop string that begins before the seam ends first behind it; -1: nowhere. */
function firstEnd(stops: readonly string[], before: string, after: string): number {
  const all = before + after
  const ends = stops.flatMap((stop) =>
    Array.from({ length: before.length }, (_, from) => from)
      .filter((from) => all.startsWith(stop, from) && from + stop.length > before.length)
      .map((from) => from + stop.length - before.length),
  )
  return ends.length === 0 ? -1 : Math.min(...ends)
}

describe('a stop guard', () => {
  it('stops where a stop string over the seam is complete, and else lets all text pass', () => {
    fc.assert(
      fc.property(
        fc.array(letters(5), { maxLength: 3 }),
        letters(8),
        fc.array(letters(3), { maxLength: 6 }),
        (stops, before, pieces) => {
          const guard = new StopGuard(stops, before)
          const longest = Math.max(0, ...stops.map(({ length }) => length))
          let said = ''
          let heard = ''
          for (const piece of pieces) {
            heard += piece
            said += guard.take(piece)
            expect(heard.startsWith(said)).toBe(true)
            // No more is held than could belong to a stop string.
            if (!guard.hit) expect(heard.length - said.length).toBeLessThan(Math.max(1, longest))
          }
          said += guard.rest()
          const end = firstEnd(stops, before, pieces.join(''))
          expect(guard.hit).toBe(end >= 0)
          expect(said).toBe(end >= 0 ? '' : pieces.join(''))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('holds nothing back where nothing has begun', () => {
    const guard = new StopGuard(['END'], 'The ')
    expect(guard.take('EN')).toBe('EN')
  })
})

describe('an answer whose stop string lies over the seam', () => {
  const line = (value: Json) => Buffer.from(`${JSON.stringify(value)}\n`)
  const data = (value: Json | string) =>
    Buffer.from(`data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`)
  const at = { model: 'llama3.2', created_at: '2026-11-21T12:00:00Z' }
  const chat = (content: string) =>
    line({ ...at, message: { role: 'assistant', content }, done: false })
  const chunk = (content: string) =>
    data({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'llama3.2',
      system_fingerprint: 'fp_ollama',
      choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }],
    })

  const ways: readonly { kind: Kind; more: Json; piece: (text: string) => Buffer }[] = [
    { kind: kinds.chat, more: { options: { stop: ['### END'] } }, piece: chat },
    { kind: kinds.openai, more: { stop: '### END' }, piece: chunk },
  ]

  it.each(ways)('ends there on $kind.name', ({ kind, more, piece }) => {
    const had = [piece('All of it. '), piece('##')]
    const { emitted, request } = requestFor(kind, kind.body('x', more), had, { method: 'trailing' })
    const heard = [piece('# '), piece('E'), piece('ND'), piece(' and on it goes')]
    const gone = feedAll(kind, emitted, request as NextRequest, heard, {
      method: 'trailing',
      seam: passing(),
    })
    expect(textIn(gone.frames)).toBe('')
    expect(gone.over).toBe(true)
    expect(gone.end).toEqual({ kind: 'done' })
    // A line of our own has a date as well; Go's client reads no line without.
    if (!kind.sse) expect(saysIn(gone.frames.at(-1)!)).toMatchObject(at)
    expect(JSON.stringify(gone.frames.map(saysIn))).toMatch(/"(done_reason|finish_reason)":"stop"/)
  })

  it.each(ways)('is let out as soon as it is none on $kind.name', ({ kind, more, piece }) => {
    const had = [piece('All of it. '), piece('##')]
    const { emitted, request } = requestFor(kind, kind.body('x', more), had, { method: 'trailing' })
    const heard = [piece('# '), piece('E'), piece('nough')]
    const gone = feedAll(kind, emitted, request as NextRequest, heard, {
      method: 'trailing',
      seam: passing(),
    })
    expect(textIn(gone.frames)).toBe('# Enough')
    expect(gone.frames.length).toBe(1)
    expect(gone.end).toEqual({ kind: 'unfinished' })
  })
})
