/** Holds a joined stream against one that never broke. */
import { expect } from 'vitest'
import type { NextRequest } from '../../../src/dialects/continuing/continuing.ts'
import { type Json, nameIn, saysIn } from './harness.ts'

/** What two streams of one answer may differ in by nature: dates and times spent. */
const byNature = new Set([
  'created_at',
  'completed_at',
  'total_duration',
  'load_duration',
  'prompt_eval_duration',
  'eval_duration',
])

/** Prompt counts, and what is made of them: the simulator's tokens are not its pieces. Held against the leg's own. */
export const figuresLeftOut = [
  'prompt_eval_count',
  'prompt_tokens',
  'input_tokens',
  'total_tokens',
  // Only whoever says the whole answer knows the numbers of it.
  'context',
]

function plain(value: unknown, without: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((one) => plain(one, without))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !without.has(key))
      .map(([key, one]) => [key, plain(one, without)]),
  )
}

/**
 * Whoever begins an item of Responses names it, so names are held against each other by the order of their coming: an
 * event with a name of another item would still be noticed.
 */
function itemNumbers() {
  const names: string[] = []
  return (said: Json | string): unknown =>
    typeof said === 'string' || !('sequence_number' in said)
      ? said
      : JSON.parse(
          JSON.stringify(said).replace(/"(msg|rs)_\d+"/g, (name) => {
            if (!names.includes(name)) names.push(name)
            return `"item ${names.indexOf(name)}"`
          }),
        )
}

/** Frame by frame and field by field, in the same order. */
export function joinedEqual(
  joined: readonly Buffer[],
  whole: readonly Buffer[],
  where: string,
  leftOut: readonly string[],
): void {
  const without = new Set([...byNature, ...leftOut])
  const shown = (frames: readonly Buffer[]) => {
    const numbered = itemNumbers()
    return frames.map((frame) => [nameIn(frame), plain(numbered(saysIn(frame)), without)])
  }
  expect(shown(joined), where).toEqual(shown(whole))
}

function lastNumber(frames: readonly Buffer[], names: readonly string[]): number | undefined {
  for (const frame of [...frames].reverse()) {
    const said = saysIn(frame)
    if (typeof said === 'string') continue
    const response = said['response'] as Json | undefined
    const usage = (said['usage'] ??
      (typeof response === 'object' ? response?.['usage'] : undefined)) as Json | undefined
    for (const name of names) {
      const value = usage?.[name] ?? said[name]
      if (typeof value === 'number' && value > 0) return value
    }
  }
  return undefined
}

export const promptCountIn = (frames: readonly Buffer[]) =>
  lastNumber(frames, ['prompt_eval_count', 'prompt_tokens', 'input_tokens'])
export const outputCountIn = (frames: readonly Buffer[]) =>
  lastNumber(frames, ['eval_count', 'completion_tokens', 'output_tokens'])

/** The pieces of text that a frame of any kind carries. */
export function pieceIn(frame: Buffer): { text: string; logprobs?: unknown } | undefined {
  const said = saysIn(frame)
  if (typeof said === 'string') return undefined
  const choice = (said['choices'] as Json[] | undefined)?.[0]
  const delta = (choice?.['delta'] ?? said['delta']) as Json | string | undefined
  const message = said['message'] as Json | undefined
  const text =
    typeof delta === 'string'
      ? delta
      : (delta?.['text'] ??
        delta?.['content'] ??
        choice?.['text'] ??
        message?.['content'] ??
        said['response'])
  if (typeof text !== 'string' || text === '') return undefined
  const logprobs = said['logprobs'] ?? (choice?.['logprobs'] as Json | undefined)?.['content']
  return { text, ...(logprobs === undefined ? {} : { logprobs }) }
}

export const textIn = (frames: readonly Buffer[]) =>
  frames.map((frame) => pieceIn(frame)?.text ?? '').join('')

/**
 * The simulator's texts for a conversation and for its rendering are different ones. So its lines for the raw prompt
 * are given the words that the conversation would have had.
 */
export function rawAnswer(whole: readonly Buffer[], cut: number) {
  return (heard: Buffer[], request: NextRequest): readonly Buffer[] => {
    const last = saysIn(heard.at(-1)!) as Json
    const first = saysIn(heard[0]!) as Json
    const { response: _, done: _d, logprobs: _l, ...head } = first
    const { options } = JSON.parse(request.body.toString('utf8')) as { options: Json }
    const limit = options['num_predict'] as number | undefined
    const lines = whole
      .slice(cut)
      .map(pieceIn)
      .filter((piece) => piece !== undefined)
      .slice(0, limit ?? Infinity)
    const reason = lines.length === limit ? 'length' : 'stop'
    const line = (value: Json) => Buffer.from(`${JSON.stringify(value)}\n`)
    return [
      ...lines.map(({ text, logprobs }) =>
        line({
          model: head['model'],
          created_at: head['created_at'],
          response: text,
          done: false,
          ...(logprobs === undefined ? {} : { logprobs }),
        }),
      ),
      line({ ...last, response: '', done: true, done_reason: reason, eval_count: lines.length }),
    ]
  }
}
