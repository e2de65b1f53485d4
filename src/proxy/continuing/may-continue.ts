import type { Family, Op } from '../../core/ask.ts'
import type { FailureCode } from '../../core/failure.ts'
import type { Emitted } from '../../dialects/continuing/continuing.ts'
import type { ExactnessCase } from './exactness.ts'
import { type Place, restart, type Way, type Ways } from './manner.ts'
import type { RequestFacts } from './request-facts.ts'
import type { Trigger } from './triggers.ts'

/** Everything that decides, and nothing that acts. */
export interface BrokenAnswer {
  readonly family: Family
  readonly op: Op
  /** Undefined: the body could not be read again. */
  readonly request: RequestFacts | undefined
  readonly emitted: Emitted
  readonly trigger: Trigger
  /** Legs after the first that were tried already, the one that just broke among them. */
  readonly laterLegs: number
  readonly context: {
    /** Of the model at the backend that would go on; undefined: not known, so nothing is ruled out. */
    readonly tokensMax: number | undefined
    /** What the question takes, as counted or guessed. */
    readonly promptTokens: number | undefined
  }
  /** The operator's setting for this pool. */
  readonly setting: 'on' | 'off'
  /** `X-Chasqui-Continue` of the request; undefined where it says nothing. */
  readonly wish: 'on' | 'off' | undefined
  /** What was measured for `placeOf` this answer. */
  readonly ways: Ways
}

export type Decision =
  /** Ways to try, best first; never empty. */
  | { readonly go: readonly Way[] }
  /** Why not, as half a sentence for the log and the client's error, and the rule of `exactness`, where it is one. */
  | {
      readonly stop: string
      readonly code: FailureCode & ('answer_cut' | 'repeat_guard')
      readonly rule: ExactnessCase | undefined
    }

/** Each leg costs a whole reading of the prompt; who has met four dying backends meets a fifth. Requirement: three of four. */
const laterLegsMax = 3
/** Kept of every stream. Requirement. */
const emittedBytesMax = 1_048_576
/**
 * Tokens that an answer is taken to need still. A limit on its length says how long it may become, not how long it
 * will: who sets it to the whole context would never be gone on with.
 */
const restTokensMax = 256

const goingOn: ReadonlySet<Op> = new Set(['generate', 'chat', 'responses'])

/** The row of the conformance probe that counts for an answer. */
export function placeOf(
  emitted: Pick<Emitted, 'text' | 'thinking'>,
  request: Pick<RequestFacts, 'isRaw'> | undefined,
): Place {
  if (request?.isRaw) return 'raw'
  if (emitted.thinking === '') return 'plain'
  return emitted.text.trim() === '' ? 'thought' : 'afterThought'
}

/** Whether an answer that broke off goes on elsewhere, and how; or why it ends here. */
export function mayContinue(broken: BrokenAnswer): Decision {
  const { emitted, request, setting, wish } = broken
  if (!goingOn.has(broken.op)) return stop('answers of this kind are not gone on with')
  if (setting === 'off') return stop('going on elsewhere is switched off')
  if (wish === 'off') return stop('the request does not want it to go on elsewhere')
  if (broken.trigger.kind === 'ended' && emitted.repeats)
    return {
      stop: 'a model that only repeats itself was stopped by its server',
      code: 'repeat_guard',
      rule: 'repeats',
    }
  if (broken.laterLegs >= laterLegsMax)
    return stop(`it broke off ${broken.laterLegs + 1} times`, 'oftenMoved')
  if (emitted.bar === 'toolCall') return stop('a tool call had begun', 'tools')
  if (emitted.bar === 'unreadable') return stop('what was sent of it could not be read')
  if (sizeOf(emitted) > emittedBytesMax) return stop('more than 1 MiB of it was sent', 'long')
  if (emitted.text === '' && emitted.thinking === '') return { go: [restart] }
  if (request === undefined) return stop('its request could not be read again')
  if (!hasRoom(broken, request)) return stop('the context is nearly full', 'contextFull')
  return choose(broken, request)
}

function choose({ emitted, ways, wish }: BrokenAnswer, request: RequestFacts): Decision {
  const isGreedy = request.temperature === 0 || request.topK === 1
  const isSeeded = request.seed !== undefined && !isGreedy
  if (isSeeded && wish !== 'on')
    return stop('it has a seed, and the request does not say that it may go on', 'seeded')
  const isRepeatable = isGreedy || isSeeded
  const known = ways ?? unmeasured(emitted, request)
  const able = known.filter((way) => isAble(way, request, isRepeatable))
  if (able.length === 0) return stop(...whyNone(request, isRepeatable))
  // Only a restart keeps what a seed promises, and its beginning is its proof; unmeasured, the same holds at once.
  const restartFirst = isSeeded || ways === undefined
  const [again, others] = [able.filter(isRestart), able.filter((way) => !isRestart(way))]
  return { go: restartFirst ? [...again, ...others] : [...others, ...again] }
}

/** What can be tried without knowing the model: a restart proves itself; the rest is a guess, and careful. */
function unmeasured({ text, thinking }: Emitted, { isRaw }: RequestFacts): Way[] {
  // A raw prompt has no template that could close it.
  if (isRaw) return [restart, { method: 'raw', manner: 'unknown' }]
  // White space alone shows nothing to a rendering.
  if (`${text}${thinking}`.trim() === '') return [restart]
  return [restart, { method: 'trailing', manner: 'unknown', checkRendering: true }]
}

function isAble({ method }: Way, request: RequestFacts, isRepeatable: boolean): boolean {
  if (method === 'restart') return isRepeatable
  if (request.hasFormat || request.hasSuffix) return false
  if (method === 'trailing') return !request.hasTokens
  // What the template writes of tools and pictures is not for a raw prompt, nor does anybody parse its answer.
  return request.isRaw || !(request.hasTools || request.hasImages || request.hasTokens)
}

function isRestart({ method }: Way): boolean {
  return method === 'restart'
}

function whyNone(request: RequestFacts, isRepeatable: boolean): [string, ExactnessCase] {
  const once = isRepeatable
    ? 'and it does not say the same twice'
    : 'and without temperature 0 or a seed it can not be asked again'
  if (request.hasFormat) return [`it is a document with a format, ${once}`, 'format']
  if (request.hasSuffix) return [`it leads up to a suffix, ${once}`, 'insertion']
  return [`its model can not go on with a text that was begun, ${once}`, 'restarted']
}

/** Question, answer so far and its rest must fit, or the server would cut the beginning of the question off. */
function hasRoom({ emitted, context }: BrokenAnswer, request: RequestFacts): boolean {
  const { tokensMax, promptTokens } = context
  if (tokensMax === undefined || promptTokens === undefined) return true
  const { outputTokensMax = Number.POSITIVE_INFINITY } = request
  const restTokens = Math.max(0, Math.min(outputTokensMax - emitted.pieces, restTokensMax))
  return promptTokens + emitted.pieces + restTokens <= tokensMax
}

function sizeOf({ text, thinking }: Emitted): number {
  // No character has more than three bytes for each of its code units.
  if ((text.length + thinking.length) * 3 <= emittedBytesMax) return 0
  return Buffer.byteLength(text) + Buffer.byteLength(thinking)
}

function stop(reason: string, rule?: ExactnessCase): Decision & { stop: string } {
  return { stop: reason, code: 'answer_cut', rule }
}
