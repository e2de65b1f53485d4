import { z } from 'zod'
import { complaintsOf, meantBy, shortened } from '../core/complaints.ts'
import { durationMs } from '../core/duration.ts'
import { Failure } from '../core/failure.ts'
import { readModelName } from '../core/model-name.ts'
import { type Priority, priorities } from '../routing/line.ts'
import { jsonObject } from './json-object.ts'
import { faultsOfSplit, type SplitWish } from './split-wish.ts'

/** Each kind of value with the one sentence that says what it must be. */
const text = z.string('must be text')
const truth = z.boolean('must be true or false')
const map = z.record(z.string(), z.unknown(), 'must be an object')
const either = <Kinds extends readonly z.ZodType[]>(kinds: Kinds, sentence: string) =>
  z.union(kinds, sentence)
const oneOf = <const Words extends readonly string[]>(words: Words) =>
  z.enum(words, `must be one of ${words.map((word) => `"${word}"`).join(', ')}`)

const schema = z.strictObject({
  model: z
    .string({ error: (issue) => (issue.input === undefined ? 'is missing' : 'must be text') })
    .refine((name) => name.trim() !== '', { error: 'is empty', abort: true })
    .refine((name) => readModelName(name), 'must be a model name such as "llama3.2"'),
  prompt: text.optional(),
  commands: text.optional(),
  input: either([z.string(), z.array(z.unknown())], 'must be text or an array').optional(),
  instruction: text.optional(),
  // These two say themselves what is wrong with them.
  split: z.unknown().optional(),
  combine: z.unknown().optional(),
  on_error: oneOf(['retry', 'partial']).optional(),
  stream: truth.optional(),
  dry_run: truth.optional(),
  system: text.optional(),
  format: either([z.literal('json'), map], 'must be "json" or a JSON schema').optional(),
  options: map.optional(),
  keep_alive: either(
    [z.string(), z.number()],
    'must be a duration such as "5m", or seconds',
  ).optional(),
  think: either(
    [z.boolean(), z.string()],
    'must be true, false or a level such as "high"',
  ).optional(),
  images: z.array(text, 'must be an array of images in base64').optional(),
  priority: oneOf(priorities).optional(),
  timeout: either([z.string(), z.number()], 'must be a duration such as "600s", or seconds')
    .refine(
      (given) => timeoutOf(given) !== undefined,
      'must be a duration such as "600s", or seconds',
    )
    .optional(),
})

/** A `/generate` request, checked: what Ollama is asked, and how we go about it. */
export interface GenerateRequest {
  readonly model: string
  readonly stream: boolean
  /** Undefined: not said. */
  readonly priority: Priority | undefined
  readonly timeoutMs: number | undefined
  readonly input: string | readonly unknown[]
  /** What is set before the input, or before every part of it; '' for nothing. */
  readonly instruction: string
  /** The native call that stands for it, but for its prompt and its `stream`. */
  readonly native: Readonly<Record<string, unknown>>
  /** Undefined: the input goes out as it is. */
  readonly split: SplitWish | undefined
  /** Only the plan of the split is wanted. */
  readonly dryRun: boolean
}

const inputs = ['prompt', 'commands', 'input'] as const

/** Throws a Failure that names every fault at once. */
export function readGenerate(
  body: Buffer,
  { commandsInstruction }: { commandsInstruction: string },
): GenerateRequest {
  // Null is how some clients write that a key was not given.
  const given = Object.fromEntries(
    Object.entries(jsonObject(body)).filter(([, value]) => value !== null),
  )
  const checked = schema.safeParse(given)
  const there = inputs.filter((key) => given[key] !== undefined)
  const faults = complaintsOf((checked.error?.issues ?? []).flatMap(oneByOne), sayIssue)
  if (there.length === 0) faults.push('one of "prompt", "commands" and "input" is needed')
  if (there.length > 1)
    faults.push(`only one of ${there.map((key) => `"${key}"`).join(' and ')} can be given`)
  const wish = faultsOfSplit({ ...given, partial: given['on_error'] === 'partial' })
  faults.push(...wish.faults)
  if (given['dry_run'] === true && !wish.split && wish.faults.length === 0)
    faults.push('"dry_run" shows the plan of a split, so it needs "split"')
  const sentence = faults.join('; ')
  if (hasNoModel(given)) throw new Failure('model_missing', sentence)
  if (faults.length > 0 || !checked.success) throw invalid(sentence)

  const request = checked.data
  const input = request.prompt ?? request.commands ?? request.input ?? ''
  if (input.length === 0) throw invalid(`"${there[0]}" is empty`)
  const { model, instruction, stream = false, system, format, options } = request
  const { keep_alive, think, images } = request
  const standard = request.commands === undefined ? '' : commandsInstruction
  return {
    model,
    stream,
    priority: request.priority,
    timeoutMs: request.timeout === undefined ? undefined : timeoutOf(request.timeout),
    input,
    instruction: instruction ?? standard,
    native: {
      model,
      ...(system === undefined ? {} : { system }),
      ...(format === undefined ? {} : { format }),
      ...(options === undefined ? {} : { options }),
      ...(keep_alive === undefined ? {} : { keep_alive }),
      ...(think === undefined ? {} : { think }),
      ...(images === undefined ? {} : { images }),
    },
    split: wish.split && plainList(wish.split, request.commands !== undefined),
    dryRun: request.dry_run === true,
  }
}

/** Commands are a list of lines, whatever they look like. */
function plainList(wish: SplitWish, commands: boolean): SplitWish {
  return commands && wish.options.by === undefined
    ? { ...wish, options: { ...wish.options, by: 'lines' } }
    : wish
}

/** The whole of it as one native call. */
export function nativeBody({ native, instruction, input, stream }: GenerateRequest): Buffer {
  const prompt = withInstruction(instruction, typeof input === 'string' ? input : lines(input))
  return Buffer.from(JSON.stringify({ ...native, prompt, stream }))
}

export function withInstruction(instruction: string, text: string): string {
  return instruction === '' ? text : `${instruction}\n\n${text}`
}

const hasNoModel = ({ model }: Readonly<Record<string, unknown>>) =>
  model === undefined || (typeof model === 'string' && model.trim() === '')

type Issue = z.core.$ZodIssue

function oneByOne(issue: Issue): Issue[] {
  if (issue.code !== 'unrecognized_keys') return [issue]
  return issue.keys.map((key) => ({ ...issue, keys: [key] }))
}

function sayIssue(issue: Issue): string {
  if (issue.code !== 'unrecognized_keys')
    return `"${shortened(issue.path.join('.'))}" ${issue.message}`
  const [unknown = ''] = issue.keys
  const meant = meantBy(unknown, Object.keys(schema.shape))
  return `"${shortened(unknown)}" is no key of this request${meant ? `; did you mean "${meant}"?` : ''}`
}

/** An array of items without splitting is one text, an item a line. */
function lines(items: readonly unknown[]): string {
  return items.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n')
}

function timeoutOf(timeout: string | number): number | undefined {
  const ms = typeof timeout === 'number' ? timeout * 1_000 : durationMs(timeout)
  return ms !== undefined && ms > 0 ? ms : undefined
}

function invalid(sentence: string): Failure {
  return new Failure('request_invalid', sentence)
}
