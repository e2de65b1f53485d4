/** The streams of two real servers, of both generations: their shapes, with words put in. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { nothingBefore } from '../../../src/dialects/continuing/continuing.ts'
import { joinedEqual } from './compare.ts'
import { continuing, dropping, feedAll, type Json, type Kind, kinds } from './harness.ts'

interface Recorded {
  readonly body?: {
    readonly kind: string
    readonly frames: readonly { event?: string; data: unknown }[]
  }
}

function recorded(generation: string): Readonly<Record<string, Recorded>> {
  const file = new URL(`../../calibration/recorded/${generation}.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Recorded>
}

function kindOf(step: string): Kind | undefined {
  if (/v1\.chat\./.test(step)) return kinds.openai
  if (/v1\.completions/.test(step)) return kinds.completions
  if (/v1\.messages/.test(step)) return kinds.messages
  if (/v1\.responses/.test(step)) return kinds.responses
  if (/(^|\.)chat\./.test(step)) return kinds.chat
  return /(^|\.)generate\.stream/.test(step) ? kinds.generate : undefined
}

/** Where an answer's words stand, whichever the language. */
const spokenKeys = new Set(['content', 'response', 'thinking', 'reasoning', 'text', 'delta'])

/** A stream with the recorded shape; two of them differ in their ids. */
function stream(
  kind: Kind,
  frames: NonNullable<Recorded['body']>['frames'],
  which: number,
): Buffer[] {
  let words = 0
  let items = 0
  const texts = {
    said: [] as string[],
    id: (item: number) => (item === 1 ? 'msg_1' : 'msg_2'),
    fill(item: Json, said: string) {
      for (const part of [
        ...((item['content'] ?? []) as Json[]),
        ...((item['summary'] ?? []) as Json[]),
      ])
        part['text'] = said
      if ('encrypted_content' in item) item['encrypted_content'] = said
    },
  }
  const made = (shape: unknown, key: string): unknown => {
    if (Array.isArray(shape)) return shape.map((one) => made(one, key))
    if (typeof shape === 'object' && shape !== null)
      return Object.fromEntries(Object.entries(shape).map(([name, one]) => [name, made(one, name)]))
    if (typeof shape !== 'string') return shape
    if (shape === 'null') return null
    if (shape === 'boolean') return true
    if (shape === 'time') return '2026-11-21T12:00:00.5Z'
    if (shape.startsWith('string: empty')) return ''
    if (shape.startsWith('number')) {
      if (shape === 'number: 0' || key === 'index') return 0
      return key === 'total_tokens' ? 14 : 7
    }
    if (shape.startsWith('id: ')) return `${/^id: ([a-z]+_|[a-z]+-)/.exec(shape)?.[1]}${which}`
    if (shape.startsWith('= '))
      return ['= true', '= false'].includes(shape) ? shape === '= true' : shape.slice(2)
    return spokenKeys.has(key) ? ` word${words++}` : `some ${key}`
  }
  return frames.map(({ event, data }, at) => {
    if (data === 'text: [DONE]') return Buffer.from('data: [DONE]\n\n')
    const value = made(data, '') as Json
    if (kind === kinds.responses) inOrder(value, at)
    if (kind === kinds.messages && JSON.stringify(data).includes('"index":"number"'))
      value['index'] = 1
    const text = JSON.stringify(value)
    if (!kind.sse) return Buffer.from(`${text}\n`)
    return Buffer.from(`${event === undefined ? '' : `event: ${event}\n`}data: ${text}\n\n`)
  })

  /** Numbers, names and texts that fit one another, which shapes do not tell. */
  function inOrder(value: Json, at: number): void {
    value['sequence_number'] = at
    const item = value['item'] as Json | undefined
    if (value['type'] === 'response.output_item.added') items++
    if ('output_index' in value) value['output_index'] = items - 1
    if ('item_id' in value) value['item_id'] = texts.id(items)
    if (item !== undefined) item['id'] = texts.id(items)
    if (typeof value['delta'] === 'string') texts.said[items] = value['delta']
    const said = texts.said[items] ?? ''
    if (typeof value['text'] === 'string') value['text'] = said
    const part = value['part'] as Json | undefined
    if (part !== undefined && part['text'] !== '') part['text'] = said
    if (item !== undefined) texts.fill(item, said)
    const output = (value['response'] as { output?: Json[] } | undefined)?.output ?? []
    for (const [index, one] of output.entries()) {
      one['id'] = texts.id(index + 1)
      texts.fill(one, texts.said[index + 1] ?? '')
    }
  }
}

const steps = (['new', 'old'] as const).flatMap((generation) =>
  Object.entries(recorded(generation))
    .filter(
      ([step, { body }]) => /stream|chat\.(jinja|multi)|usage$/.test(step) && body !== undefined,
    )
    .flatMap(([step, { body }]) => {
      const kind = kindOf(step)
      const streamed = body!.kind === 'lines' || body!.kind === 'events'
      return kind !== undefined && streamed
        ? [{ generation, step, kind, frames: body!.frames }]
        : []
    }),
)

const spoken = steps.filter(({ step }) => !/^(call|repeat)/.test(step))

describe('recorded streams', () => {
  it('are there', () => {
    expect(spoken.length).toBeGreaterThan(20)
  })

  it.each(spoken)('$generation $step can break anywhere', ({ generation, step, kind, frames }) => {
    const whole = stream(kind, frames, 1)
    const other = stream(kind, frames, 2)
    const usage = step.endsWith('usage') ? { stream_options: { include_usage: true } } : {}
    const original = { path: kind.path, body: Buffer.from(JSON.stringify(kind.body('x', usage))) }
    for (let cut = 1; cut < whole.length; cut++) {
      const had = whole.slice(0, cut)
      const emitted = continuing(kind).read(had)
      expect(emitted.bar).toBeUndefined()
      const missing = continuing(kind).missing(original, emitted)
      if (missing !== undefined) {
        expect(Buffer.concat([...had, missing])).toEqual(Buffer.concat(whole))
        continue
      }
      const request = continuing(kind).request(original, emitted, 'restart', undefined)
      if ('cannot' in request) throw new Error(request.cannot)
      const way = { method: 'restart', before: nothingBefore, seam: dropping(emitted) } as const
      const gone = feedAll(kind, emitted, request, other, way)
      expect(gone.end).toEqual({ kind: 'done' })
      // Lines without a word, which Ollama says around thoughts, are not said twice, nor for want of a word at all.
      const joined = [...had, ...gone.frames]
      const spokenOnly = (all: readonly Buffer[]) => all.filter((frame) => !isEmpty(frame))
      // A single chunk does not tell whether every one will name the role.
      if (generation === 'old' && kind === kinds.openai && cut === 1) continue
      joinedEqual(spokenOnly(joined), spokenOnly(whole), `${step} cut at ${cut}`, [])
    }
  })

  it.each(steps.filter(({ step }) => step.startsWith('call')))(
    '$generation $step is barred',
    ({ kind, frames }) => {
      expect(continuing(kind).read(stream(kind, frames, 1)).bar).toBe('toolCall')
    },
  )
})

const isEmpty = (frame: Buffer) => /"response":"","done":false/.test(frame.toString('utf8'))
