import type { Clock } from '../../src/core/clock.ts'
import type { Dice } from '../../src/core/dice.ts'
import { durationMs } from '../../src/core/duration.ts'
import { readModelName } from '../../src/core/model-name.ts'
import type { Downloads } from './downloads.ts'
import { isObject, type Json, type JsonObject, toGoJson } from './go-json.ts'
import { fullName, type ModelStore, type StoredModel } from './models.ts'
import type { Occupancy } from './occupancy.ts'
import { type Plan, planAnswer, type Question, type ToolCall } from './plan.ts'
import { tokenCount } from './prompt-cache.ts'
import { clientLeft, engineBroke, inStream, Refusal, runnerStopped } from './refusal.ts'
import { InBandError, type Reply } from './reply.ts'
import type { Fingerprint, Runner } from './runner.ts'
import type { Hold, Scheduler } from './scheduler.ts'
import type { SimulatorSettings } from './settings.ts'
import { seedOf } from './text.ts'
import type { Trace } from './trace.ts'

/** What every route has at hand. */
export interface House {
  readonly settings: SimulatorSettings
  readonly clock: Clock
  readonly dice: Dice
  readonly store: ModelStore
  readonly scheduler: Scheduler
  readonly trace: Trace
  readonly occupancy: Occupancy
  readonly downloads: Downloads
  /** Where cloud models "run": no load, no slots of this machine. */
  readonly cloud: Runner
}

export interface Logprob {
  readonly token: string
  readonly logprob: number
  readonly bytes: readonly number[]
  readonly top_logprobs?: readonly Omit<Logprob, 'top_logprobs'>[]
}

export type Piece =
  | { readonly kind: 'text' | 'thinking'; readonly text: string; readonly logprob?: Logprob }
  | { readonly kind: 'call'; readonly call: ToolCall }

export interface Done {
  readonly reason: 'stop' | 'length'
  readonly stoppedBy: string | undefined
  readonly called: boolean
  readonly totalMs: number
  readonly loadMs: number
  readonly promptTokens: number
  readonly promptMs: number
  readonly outputTokens: number
  readonly outputMs: number
  /** The prompt and its answer, for generate's old `context`. */
  readonly transcript: string
}

/** The end of an answer to nothing. */
export const nothingDone: Done = {
  reason: 'stop',
  stoppedBy: undefined,
  called: false,
  totalMs: 0,
  loadMs: 0,
  promptTokens: 0,
  promptMs: 0,
  outputTokens: 0,
  outputMs: 0,
  transcript: '',
}

/** How one family writes an answer down. */
export interface FrameWriter {
  /** The prompt has been read; families that announce an answer do it here. */
  begin?(promptTokens: number): Promise<void>
  piece(piece: Piece): Promise<void>
  done(done: Done): Promise<void>
  /** The stream ends without its last line: the repeat guard. */
  silence(): Promise<void>
  /** Something broke after the head was sent. */
  broke(text: string): Promise<void>
}

/** A request that infers, checked. */
export interface Inference {
  readonly model: StoredModel
  readonly question: Question
  readonly fingerprint: Fingerprint
  readonly keepAliveMs: number | undefined
  readonly truncate: boolean
  readonly shift: boolean
  /** The prompt is wanted instead of an answer to it. */
  readonly renderOnly?: ((prompt: string) => void) | undefined
}

const runnerOptions = {
  num_ctx: 'integer',
  num_batch: 'integer',
  num_gpu: 'integer',
  main_gpu: 'integer',
  use_mmap: 'boolean',
  num_thread: 'integer',
  draft_num_predict: 'integer',
} as const
const sampling = {
  num_keep: 'integer',
  seed: 'integer',
  num_predict: 'integer',
  top_k: 'integer',
  repeat_last_n: 'integer',
  top_p: 'float32',
  min_p: 'float32',
  typical_p: 'float32',
  temperature: 'float32',
  repeat_penalty: 'float32',
  presence_penalty: 'float32',
  frequency_penalty: 'float32',
  stop: 'array',
} as const

/** Options with their types checked as Ollama does it: late, and with a status of 500. */
export function checkOptions(model: StoredModel, given: JsonObject | undefined): JsonObject {
  const options: JsonObject = { ...model.parameters, ...given }
  for (const [name, type] of Object.entries({ ...runnerOptions, ...sampling })) {
    const value = options[name]
    if (value === undefined || value === null) {
      delete options[name]
      continue
    }
    const ok =
      type === 'boolean'
        ? typeof value === 'boolean'
        : type === 'array'
          ? Array.isArray(value) || (given?.[name] === undefined && typeof value === 'string')
          : typeof value === 'number'
    if (!ok) throw new Refusal(500, `option "${name}" must be of type ${type}`)
    if (type === 'integer') options[name] = Math.trunc(value as number)
  }
  return options
}

export function optionNumber(options: JsonObject, name: string): number | undefined {
  const value = options[name]
  return typeof value === 'number' ? value : undefined
}

export function optionStops(options: JsonObject): string[] {
  const stop = options['stop']
  if (typeof stop === 'string') return [stop]
  return Array.isArray(stop) ? stop.filter((one) => typeof one === 'string') : []
}

/** The options that make a runner, for a model on this server. */
export function fingerprintOf(
  model: StoredModel,
  options: JsonObject,
  shift: boolean,
  settings: SimulatorSettings,
): Fingerprint {
  const least = model.capabilities.includes('vision') ? 2048 : 4
  const wanted = optionNumber(options, 'num_ctx') ?? settings.contextDefault
  const others = Object.keys(runnerOptions)
    .filter((name) => name !== 'num_ctx' && name !== 'num_gpu' && options[name] !== undefined)
    .map((name) => `${name}=${String(options[name])}`)
  if (!shift) others.push('shift=false')
  return {
    contextTokens: Math.min(Math.max(wanted, least), model.contextTrain),
    others: others.join(' '),
    gpuLayers: optionNumber(options, 'num_gpu'),
  }
}

/** `keep_alive` in milliseconds; negative is for ever. */
export function readKeepAlive(value: Json | undefined): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number') return value < 0 ? Infinity : value * 1000
  if (typeof value === 'string') {
    const [, sign, rest] = /^([-+]?)(.*)$/s.exec(value) ?? []
    const ms = /^[\d.hmsnuµ]+$/.test(rest ?? '') ? durationMs(rest ?? '') : undefined
    if (ms === undefined)
      throw new Refusal(
        400,
        /^\d+(\.\d+)?$/.test(rest ?? '')
          ? `time: missing unit in duration "${value}"`
          : `time: invalid duration "${value}"`,
      )
    return sign === '-' && ms > 0 ? Infinity : ms
  }
  const type =
    typeof value === 'boolean'
      ? 'bool'
      : Array.isArray(value)
        ? '[]interface {}'
        : 'map[string]interface {}'
  throw new Refusal(400, `Unsupported type: '${type}'`)
}

/** The model of a request, or the refusal that names it. */
export function findModel(house: House, text: string, notFound?: string): StoredModel {
  if (/(:local|[:-]cloud):local$|:local:cloud$/i.test(text.trim()))
    throw new Refusal(400, `use either :local or :cloud, not both: ${JSON.stringify(text.trim())}`)
  const name = readModelName(text)
  if (!name) throw new Refusal(400, 'invalid model name')
  if (name.cloud) {
    if (house.settings.cloudDisabled)
      throw new Refusal(403, 'ollama cloud is disabled: remote model is unavailable')
    if (!house.settings.signedIn)
      throw new Refusal(401, 'unauthorized', {
        signin_url: 'https://ollama.com/connect?name=simulator&key=c2ltdWxhdG9y',
      })
  }
  const model = house.store.find(text)
  if (model) return model
  if (name.cloud) return house.store.add({ name: text })
  throw new Refusal(404, notFound ?? `model '${text}' not found`)
}

/** Refuses what the model cannot do, all complaints together. */
export function demand(model: StoredModel, nameAsSent: string, needs: readonly string[]): void {
  const missing = needs.filter((need) => !model.capabilities.includes(need))
  if (missing.length === 0) return
  const said = missing.map((need) =>
    need === 'thinking' || need === 'generate' || need === 'chat'
      ? `"${nameAsSent}" does not support ${need}`
      : `${fullName(model)} does not support ${need}`,
  )
  throw new Refusal(400, said.join('\n'))
}

export function demandCompletion(
  model: StoredModel,
  nameAsSent: string,
  verb: 'chat' | 'generate',
): void {
  if (!model.capabilities.includes('completion'))
    throw new Refusal(400, `"${nameAsSent}" does not support ${verb}`)
}

/** Gets a runner, as every inferring route does it. */
export async function takeRunner(
  house: House,
  model: StoredModel,
  fingerprint: Fingerprint,
  keepAliveMs: number | undefined,
  reply: Reply,
): Promise<Hold> {
  const { entry, signal } = reply
  if (model.remoteHost !== undefined) return { runner: house.cloud, [Symbol.dispose]: () => {} }
  reply.onCrash = () => house.scheduler.crash(model.weights)
  return house.scheduler.take({ model, fingerprint, keepAliveMs, signal, entry })
}

/** The life of an answer, from the queue to its last frame, in whichever family's frames. */
export async function infer(
  house: House,
  inference: Inference,
  reply: Reply,
  writer: FrameWriter,
): Promise<void> {
  const { clock, settings, trace } = house
  const { model, question, fingerprint } = inference
  const startedAt = clock.now()
  using hold = await takeRunner(house, model, fingerprint, inference.keepAliveMs, reply)
  const loadMs = clock.now() - startedAt

  const whole = planAnswer(question, model, settings, fingerprint.contextTokens)
  if (inference.renderOnly) return inference.renderOnly(whole.prompt)
  let plan: Plan
  try {
    checkFormat(question.format)
    plan = fitted(whole, inference, fingerprint.contextTokens, settings.generation)
  } catch (failure) {
    throw reply.wantsStream ? inStream(failure) : failure
  }
  const pieces = piecesOf(plan, question)
  let said = ''
  let begun = false
  const say = async (index: number) => {
    if (!begun) {
      begun = true
      await writer.begin?.(tokenCount(plan.prompt))
    }
    const piece = pieces[index]
    if (!piece) return
    if (piece.kind === 'text') said += piece.text
    await writer.piece(piece)
  }

  try {
    const spent = await hold.runner.work(
      { prompt: plan.prompt, pieces: pieces.length, entry: reply.entry, signal: reply.signal },
      say,
      () => said,
    )
    if (!begun) await writer.begin?.(spent.promptTokens)
    if (plan.endsSilently) await writer.silence()
    else
      await writer.done({
        reason: plan.reason,
        stoppedBy: plan.stoppedBy,
        called: plan.call !== undefined,
        totalMs: clock.now() - startedAt,
        loadMs,
        ...spent,
        transcript: plan.prompt + said,
      })
  } catch (failure) {
    if (reply.signal.aborted) throw clientLeft()
    const died = failure instanceof Refusal && failure.message === runnerStopped
    const told = failure instanceof Error ? failure.message : String(failure)
    // An engine that dies is told apart by whether it had begun to speak.
    const text = died && begun ? engineBroke : told
    reply.entry.cancelReason ??= failure instanceof InBandError ? `fault: ${told}` : told
    if (reply.started) await writer.broke(text)
    else {
      const refusal = new Refusal(
        failure instanceof Refusal || failure instanceof InBandError ? failure.status : 500,
        text,
      )
      throw reply.wantsStream ? inStream(refusal) : refusal
    }
  } finally {
    trace.finish(reply.entry)
  }
}

/** Prompts that are longer than the context lose their beginning, or are refused where that is forbidden. */
function fitted(
  plan: Plan,
  inference: Inference,
  contextTokens: number,
  generation: SimulatorSettings['generation'],
): Plan {
  const tokens = tokenCount(plan.prompt)
  if (tokens <= contextTokens) return plan
  if (generation === 'old') {
    // The old engine shifts whatever it is told, unless it may not cut the prompt.
    if (!inference.truncate) throw new Refusal(400, 'the input length exceeds the context length')
  } else if (!inference.truncate) {
    // What the engine says comes through as it is, a JSON text inside of a JSON text.
    const message = `request (${tokens} tokens) exceeds the available context size (${contextTokens} tokens), try increasing it`
    const error = {
      code: 400,
      message,
      type: 'exceed_context_size_error',
      n_prompt_tokens: tokens,
      n_ctx: contextTokens,
    }
    throw new Refusal(400, toGoJson({ error }))
  } else if (!inference.shift)
    throw new Refusal(
      400,
      'the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the context length in settings, or use a model with a longer context length',
    )
  return { ...plan, prompt: plan.prompt.slice(-contextTokens * 4) }
}

function piecesOf(plan: Plan, question: Question): Piece[] {
  const thinking: Piece[] = plan.thinking.map((text) => ({ kind: 'thinking', text }))
  const content: Piece[] = plan.content.map((text) =>
    question.logprobs === undefined
      ? { kind: 'text', text }
      : { kind: 'text', text, logprob: logprobOf(text, question.logprobs) },
  )
  const call: Piece[] = plan.call ? [{ kind: 'call', call: plan.call }] : []
  return [...thinking, ...content, ...call]
}

function logprobOf(token: string, others: number): Logprob {
  const one = (text: string, rank: number) => ({
    token: text,
    logprob: -(0.01 + rank + (seedOf('logprob', text) % 1000) / 2000),
    bytes: [...Buffer.from(text)],
  })
  const own = one(token, 0)
  if (others === 0) return own
  const rivals = [' sky', ' blue', ' rain', ' the', ' and', ' light']
  return {
    ...own,
    top_logprobs: Array.from({ length: others }, (_, rank) =>
      rank === 0 ? own : one(rivals[rank % rivals.length] ?? ' the', rank),
    ),
  }
}

/** `format` as it is sent, and nothing where it says nothing. */
export function readFormat(value: Json | undefined): Json | undefined {
  return value === undefined || value === null || value === '' ? undefined : value
}

/** Anything that is neither "json" nor a schema is refused late, when the model is loaded. */
function checkFormat(value: Json | undefined): void {
  if (value === undefined || value === 'json' || isObject(value)) return
  throw new Refusal(
    500,
    `invalid format: ${JSON.stringify(toGoJson(value))}; expected "json" or a valid JSON Schema object`,
  )
}
