import { Failure } from '../core/failure.ts'
import { type Part, PartTooLarge } from './cut/splitter.ts'
import type { Holder } from './fleet.ts'

/** What a chat template puts around a prompt; Ollama's templates have between ten and sixty tokens. */
export const templateTokens = 64
/** Of the context, this share is kept for the answer when the request does not say how long that may be. */
const answerShare = 0.25
/** More is not kept: whoever allows an answer as long as the context, or longer, means that nothing limits it. */
const answerShareMax = 0.5

export interface CutPlan {
  readonly parts: readonly Part[]
  /** What the largest context has room for beside what comes with every part and the answer. */
  readonly roomTokens: number
  /** Backends whose context is too small to be of use, and how large it is. */
  readonly leftOut: readonly { readonly backend: string; readonly context: number }[]
}

export interface CutDoors {
  readonly holders: readonly Holder[]
  /** What comes with every part: instruction, system, other messages. */
  readonly overheadTokens: number
  /** The request's num_predict; undefined: not said, or without limit. */
  readonly answerTokens: number | undefined
  readonly cut: (tokensMax: number) => Promise<readonly Part[]>
}

/**
 * Parts that fit the smallest context among the backends that the run will use. A backend with a smaller one is left
 * out when keeping it would more than double the parts, or when some part can not be made small enough for it.
 * Throws a Failure when a part is too large for every context.
 */
export async function planCut({
  holders,
  overheadTokens,
  answerTokens,
  cut,
}: CutDoors): Promise<CutPlan> {
  const contexts = [...new Set(holders.map(({ context }) => context))].sort((a, b) => a - b)
  const largest = contexts.at(-1) ?? 0
  const answerIn = (context: number) =>
    Math.min(answerTokens ?? context * answerShare, context * answerShareMax)
  const roomIn = (context: number) =>
    Math.floor(context - overheadTokens - templateTokens - answerIn(context))

  // With no room for anything, a line of the input is not what is too large.
  if (roomIn(largest) < 1) throw noRoom(largest, overheadTokens)
  let context = largest
  let parts = await orTooLarge(() => cut(roomIn(largest)))
  if (parts instanceof PartTooLarge) throw tooLarge(parts, largest)

  // From the largest context down: each smaller one is taken in unless it costs too many parts.
  for (const smaller of contexts.slice(0, -1).reverse()) {
    const room = roomIn(smaller)
    if (room < 1) break
    const heaviest = parts.reduce((most, { tokens }) => Math.max(most, tokens), 0)
    if (heaviest > room) {
      const finer = await orTooLarge(() => cut(room))
      if (finer instanceof PartTooLarge || finer.length > 2 * parts.length) break
      parts = finer
    }
    context = smaller
  }
  return {
    parts,
    roomTokens: roomIn(largest),
    leftOut: holders
      .filter((holder) => holder.context < context)
      .map((holder) => ({ backend: holder.name, context: holder.context })),
  }
}

async function orTooLarge(
  cut: () => Promise<readonly Part[]>,
): Promise<readonly Part[] | PartTooLarge> {
  try {
    return await cut()
  } catch (error) {
    if (error instanceof PartTooLarge) return error
    throw error
  }
}

function tooLarge(part: PartTooLarge, context: number): Failure {
  return new Failure(
    'part_too_large',
    `${part.message}: the largest context among the backends is ${context}`,
  )
}

function noRoom(context: number, overheadTokens: number): Failure {
  return new Failure(
    'part_too_large',
    `the instruction and what comes with it have about ${Math.ceil(overheadTokens)} tokens, and the largest context is ${context}`,
  )
}
