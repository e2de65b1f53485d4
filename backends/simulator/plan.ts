import { isObject, type Json, type JsonObject, toGoJson } from './go-json.ts'
import type { StoredModel } from './models.ts'
import { instanceOf } from './schema-instance.ts'
import type { ModelKind, SimulatorSettings } from './settings.ts'
import { answerOf, piecesFrom, rawSeam, scriptIn, seedOf, sha256, tokensOf } from './text.ts'

/** One turn of a conversation, the same whichever family of clients said it. */
export interface Turn {
  readonly role: string
  readonly content: string
  /** Digests of pictures and sounds. */
  readonly images: readonly string[]
  readonly thinking: string
  /** Calls and results as text: they are read, not understood. */
  readonly extra: string
}

export interface Tool {
  readonly name: string
  readonly parameters: Json
}

/** What a model is asked, with everything family-specific taken off. */
export interface Question {
  readonly turns: readonly Turn[]
  /** A prompt that goes to the model as it is; then `turns` is empty. */
  readonly raw: string | undefined
  /** Text that stands before the conversation: the old `context` of generate. */
  readonly before: string
  readonly tools: readonly Tool[]
  /** 'json' or a schema. */
  readonly format: Json | undefined
  readonly think: boolean
  readonly seed: number | undefined
  readonly temperature: number
  readonly numPredict: number
  readonly stop: readonly string[]
  /** Probabilities are wanted; the number is how many others per token. */
  readonly logprobs: number | undefined
}

export interface ToolCall {
  readonly name: string
  readonly arguments: JsonObject
}

/** The whole answer, known before its first word is said: what is left is to say it at the right pace. */
export interface Plan {
  readonly thinking: readonly string[]
  readonly content: readonly string[]
  readonly call: ToolCall | undefined
  readonly reason: 'stop' | 'length'
  /** The stop sequence that cut the answer, if one did. */
  readonly stoppedBy: string | undefined
  /** Ollama's repeat guard: the stream ends without a last line. */
  readonly endsSilently: boolean
  /** The prompt as the engine reads it; prefix caches compare these. */
  readonly prompt: string
}

export function turn(role: string, content: string, more: Partial<Turn> = {}): Turn {
  return { role, content, images: [], thinking: '', extra: '', ...more }
}

/** The conversation as a template would write it, the last turn left open. */
function render(
  question: Question,
  trailing: Turn | undefined,
  turns: readonly Turn[],
  kind: ModelKind,
): string {
  if (question.raw !== undefined) return question.before + question.raw
  const tools =
    question.tools.length > 0 ? `<|tools|>${question.tools.map(toGoJson).join('')}\n` : ''
  // A picture costs many tokens: its digest stands here several times.
  const pictures = (turnOf: Turn) =>
    turnOf.images.map((digest) => `<|image|>${digest.repeat(16)}`).join('')
  const past = turns
    .map((one) => `<|${one.role}|>\n${pictures(one)}${one.content}${one.extra}\n`)
    .join('')
  const before = `${question.before}${tools}${past}<|assistant|>\n`
  if (!trailing) return before
  // Templates that close every turn have the model begin a new one, or see that all has been said.
  if (kind === 'begins-anew') return `${before}${trailing.content}\n<|assistant|>\n`
  return kind === 'ends-at-once' ? `${before}${trailing.content}\n` : before + trailing.content
}

/** Decides the whole answer. Pure: the same for the same weights and question, wherever it is asked. */
export function planAnswer(
  question: Question,
  model: StoredModel,
  settings: SimulatorSettings,
  contextTokens: number,
): Plan {
  const last = question.turns.at(-1)
  const trailing = question.raw === undefined && last?.role === 'assistant' ? last : undefined
  const turns = trailing ? question.turns.slice(0, -1) : question.turns
  const prompt = render(question, trailing, turns, model.kind)

  const call = toolCall(question, turns, settings)
  if (call && !trailing)
    return {
      thinking: question.think ? thoughts(prompt) : [],
      content: [],
      call,
      reason: 'stop',
      stoppedBy: undefined,
      endsSilently: false,
      prompt,
    }

  const salt = [model.weights, String(question.seed ?? 'unset'), String(question.temperature)]
  const conversation = toGoJson([
    question.before,
    turns.map((one) => [one.role, one.content, one.images, one.extra]),
  ])
  let seed = seedOf(...salt, conversation)
  let position = 0
  if (question.raw !== undefined) {
    const seam = rawSeam(question.raw, seedOf(...salt, question.before), settings.answerTokens)
    seed = seam.seed
    position = seam.position
  }
  // Nobody hears what lies behind the limit, and no token is shorter than a character.
  const most =
    question.numPredict < 0
      ? Infinity
      : question.numPredict + position + (trailing?.content.length ?? 0) + 1
  const script = settings.scripts ? scriptIn(lastAsked(turns)) : undefined
  let tokens = script ?? answerTokens(question, model, settings, seed, most)
  if (trailing) {
    if (!tokens.join('').startsWith(trailing.content)) {
      // These are somebody else's words; the answer goes on from them in its own way.
      seed = seedOf(String(seed), trailing.content)
      tokens = answerTokens(question, model, settings, seed, most)
    } else position = trailing.content.length
  }

  const said = tokens.join('').slice(0, position)
  const silent = model.kind === 'stops-without-done'
  const content = seam(model, tokens, said, position, seed, settings)
  const pondered = trailing?.thinking ?? ''
  const thinking =
    question.think && position === 0
      ? piecesFrom(
          thoughts(conversation),
          thoughts(conversation).join('').startsWith(pondered) ? pondered.length : 0,
        )
      : []
  return { ...cut({ thinking, content, silent }, question, contextTokens), call: undefined, prompt }
}

function lastAsked(turns: readonly Turn[]): string {
  return turns.findLast(({ role }) => role === 'user')?.content ?? ''
}

function answerTokens(
  question: Question,
  model: StoredModel,
  settings: SimulatorSettings,
  seed: number,
  most: number,
): readonly string[] {
  if (question.format !== undefined) {
    const schema: Json =
      question.format === 'json'
        ? { type: 'object', properties: { answer: { type: 'string' }, count: { type: 'integer' } } }
        : question.format
    return tokensOf(JSON.stringify(instanceOf(schema, seed)))
  }
  const { tokens } = answerOf(seed, settings.answerTokens, most)
  // More than thirty equal pieces in a row are what Ollama takes for a model that lost its mind.
  if (model.kind === 'stops-without-done')
    return [...tokens.slice(0, 8), ...Array.from({ length: 31 }, () => ' again')]
  return tokens
}

/** How a model of this kind goes on from `position`. */
function seam(
  model: StoredModel,
  tokens: readonly string[],
  said: string,
  position: number,
  seed: number,
  settings: SimulatorSettings,
): string[] {
  const rest = piecesFrom(tokens, position)
  if (position === 0) return rest
  switch (model.kind) {
    case 'begins-anew':
      return [...tokens]
    case 'adds-a-space':
      return [' ', ...rest]
    case 'repeats-the-last-word':
      return [` ${/\S+(?=\s*$)/.exec(said)?.[0] ?? ''}`, ...rest]
    case 'ends-at-once':
      return []
    case 'diverges':
      return answerOf(seed ^ 0x5eed, settings.answerTokens).tokens.map((token) => token)
    case 'continues':
    case 'thinks':
    case 'stops-without-done':
      return rest
  }
}

function thoughts(text: string): string[] {
  const { tokens } = answerOf(seedOf('thinking', text), 12)
  return ['Let', ' me', ' think', ':', ' ', ...tokens]
}

function cut(
  draft: { thinking: string[]; content: string[]; silent: boolean },
  question: Question,
  contextTokens: number,
): Pick<Plan, 'thinking' | 'content' | 'reason' | 'stoppedBy' | 'endsSilently'> {
  const { thinking } = draft
  let { content } = draft
  let stoppedBy: string | undefined

  const whole = content.join('')
  const ends = question.stop
    .filter((stop) => stop !== '')
    .map((stop) => ({ stop, at: whole.indexOf(stop) }))
    .filter(({ at }) => at >= 0)
    .sort((one, other) => one.at - other.at)
  const first = ends[0]
  if (first) {
    stoppedBy = first.stop
    const kept: string[] = []
    let length = 0
    for (const piece of content) {
      if (length >= first.at) break
      kept.push(piece.slice(0, first.at - length))
      length += piece.length
    }
    content = kept
  }

  // Ollama's own limit for a model that never ends.
  const limit = question.numPredict < 0 ? 10 * contextTokens : question.numPredict
  const count = thinking.length + content.length
  // The token that would say "the end" does not fit any more when the answer is exactly as long as the limit.
  if (count < limit || (count === 0 && limit === 0))
    return { thinking, content, reason: 'stop', stoppedBy, endsSilently: draft.silent }
  const thought = thinking.slice(0, limit)
  const spoken = content.slice(0, limit - thought.length)
  return {
    thinking: thought,
    content: spoken,
    reason: 'length',
    stoppedBy: undefined,
    endsSilently: false,
  }
}

function toolCall(
  question: Question,
  turns: readonly Turn[],
  settings: SimulatorSettings,
): ToolCall | undefined {
  const tool = question.tools[0]
  if (!tool || settings.toolCalls === 'never') return undefined
  // A result lies on the table; calling once more would go round for ever.
  if (turns.at(-1)?.role === 'tool') return undefined
  const asked = turns.findLast((one) => one.role === 'user')?.content ?? ''
  if (settings.toolCalls === 'when-asked' && !/tool/i.test(asked)) return undefined
  const named = question.tools.find((one) => one.name !== '' && asked.includes(one.name)) ?? tool
  const made = instanceOf(
    isObject(named.parameters) ? named.parameters : { type: 'object', properties: {} },
    seedOf(named.name, asked),
  )
  return { name: named.name, arguments: isObject(made) ? made : {} }
}

/** A digest for what is too large to be compared as text. */
export function mediaDigest(base64: string): string {
  return sha256(base64).slice(0, 32)
}
