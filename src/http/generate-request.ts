import { z } from 'zod'
import { didYouMean } from '../core/did-you-mean.ts'
import { durationMs } from '../core/duration.ts'
import { Failure } from '../core/failure.ts'
import { readModelName } from '../core/model-name.ts'
import { type Priority, priorities } from '../routing/line.ts'

const json = z.unknown()

const schema = z.strictObject({
  model: z.string(),
  prompt: z.string().optional(),
  commands: z.string().optional(),
  input: z.union([z.string(), z.array(z.unknown())]).optional(),
  instruction: z.string().optional(),
  split: z.union([z.boolean(), z.literal('auto'), z.record(z.string(), json)]).optional(),
  combine: z.union([z.string(), z.record(z.string(), json)]).optional(),
  on_error: z.enum(['retry', 'partial']).optional(),
  stream: z.boolean().optional(),
  system: z.string().optional(),
  format: z.union([z.literal('json'), z.record(z.string(), json)]).optional(),
  options: z.record(z.string(), json).optional(),
  keep_alive: z.union([z.string(), z.number()]).optional(),
  think: z.union([z.boolean(), z.string()]).optional(),
  images: z.array(z.string()).optional(),
  priority: z.enum(priorities).optional(),
  timeout: z.union([z.string(), z.number()]).optional(),
})

/** A `/generate` request, checked: what Ollama is asked, and how we go about it. */
export interface GenerateRequest {
  readonly model: string
  readonly stream: boolean
  readonly priority: Priority
  readonly timeoutMs: number | undefined
  /** The body of the native call that stands for it. */
  readonly body: Buffer
}

const inputs = ['prompt', 'commands', 'input'] as const

/** Throws a Failure that names every fault at once. */
export function readGenerate(body: Buffer): GenerateRequest {
  const given = parse(body)
  const checked = schema.safeParse(given)
  if (!checked.success) throw invalid(checked.error.issues.map(sayIssue).join('; '))
  const request = checked.data
  if (request.model.trim() === '') throw new Failure('model_missing', '"model" is empty')
  if (!readModelName(request.model)) throw invalid(`"${request.model}" is no model name`)

  const there = inputs.filter((key) => request[key] !== undefined)
  if (there.length === 0) throw invalid('one of "prompt", "commands" and "input" is needed')
  if (there.length > 1)
    throw invalid(`only one of ${there.map((key) => `"${key}"`).join(' and ')} can be given`)
  if (wantsSplit(request.split))
    throw new Failure('split_not_built', '"split" is not built yet in this version')

  const text = request.prompt ?? request.commands ?? inputText(request.input)
  if (text === '') throw invalid(`"${there[0]}" is empty`)
  const {
    instruction,
    stream = false,
    system,
    format,
    options,
    keep_alive,
    think,
    images,
  } = request
  const native = {
    model: request.model,
    prompt: instruction === undefined || instruction === '' ? text : `${instruction}\n\n${text}`,
    stream,
    ...(system === undefined ? {} : { system }),
    ...(format === undefined ? {} : { format }),
    ...(options === undefined ? {} : { options }),
    ...(keep_alive === undefined ? {} : { keep_alive }),
    ...(think === undefined ? {} : { think }),
    ...(images === undefined ? {} : { images }),
  }
  return {
    model: request.model,
    stream,
    priority: request.priority ?? 'normal',
    timeoutMs: timeoutOf(request.timeout),
    body: Buffer.from(JSON.stringify(native)),
  }
}

function parse(body: Buffer): unknown {
  if (body.length === 0) throw new Failure('body_empty', 'the body is empty')
  let given: unknown
  try {
    given = JSON.parse(body.toString('utf8'))
  } catch (error) {
    const why = error instanceof Error ? `: ${error.message}` : ''
    throw new Failure('body_not_json', `the body is not JSON${why}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Failure('body_not_json', 'the body is JSON, but not an object')
  return given
}

function sayIssue(issue: z.core.$ZodIssue): string {
  const key = issue.path.length === 0 ? '' : `"${issue.path.join('.')}"`
  if (issue.code === 'unrecognized_keys')
    return issue.keys
      .map((unknown) => {
        const meant = didYouMean(unknown, Object.keys(schema.shape))
        return `"${unknown}" is no key of this request${meant ? `; did you mean "${meant}"?` : ''}`
      })
      .join('; ')
  if (issue.code === 'invalid_type' && issue.input === undefined && key === '"model"')
    return '"model" is missing'
  return `${key}: ${issue.message}`
}

function wantsSplit(split: unknown): boolean {
  return split !== undefined && split !== false
}

/** An array of items without splitting is one text, an item a line. */
function inputText(input: string | readonly unknown[] | undefined): string {
  if (input === undefined || typeof input === 'string') return input ?? ''
  return input.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n')
}

function timeoutOf(timeout: string | number | undefined): number | undefined {
  if (timeout === undefined) return undefined
  const ms = typeof timeout === 'number' ? timeout * 1_000 : durationMs(timeout)
  if (ms === undefined || !(ms > 0)) throw invalid('"timeout" is a duration such as "600s"')
  return ms
}

function invalid(sentence: string): Failure {
  return new Failure('request_invalid', sentence)
}
