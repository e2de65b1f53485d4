import type { Dice } from '../../../src/core/dice.ts'
import type { Request } from '../engine/specs.ts'
import type { Gaps } from './arrivals.ts'
import { type Lengths, lengthsDrawn } from './lengths.ts'

/** Numbers that stand for texts; no two texts of a trace have the same. */
export class Texts {
  #last = 0
  next(): number {
    return ++this.#last
  }
}

/** A request of its own: nobody else's prompt begins like it. */
export function plainRequest(
  texts: Texts,
  part: Pick<Request, 'id' | 'atMs' | 'promptTokens' | 'outputTokens'> & Partial<Request>,
): Request {
  return {
    ...{ model: 0, tenant: 'all', band: 'normal', deadlineMs: 0, session: `${part.id}` },
    ...{ chain: [texts.next()], chainTokens: [part.promptTokens], answer: texts.next() },
    ...part,
  }
}

/** Independent requests for one model. */
export function plainTrace(
  count: number,
  perSecond: number,
  gaps: Gaps,
  lengthsAt: (atMs: number) => Lengths,
  dice: Dice,
): Request[] {
  const texts = new Texts()
  let atMs = 0
  return Array.from({ length: count }, (_, id) => {
    atMs += (gaps() / perSecond) * 1_000
    return plainRequest(texts, { id, atMs, ...lengthsDrawn(lengthsAt(atMs), dice) })
  })
}

/** Which model each request is for: the k-th most popular one has a share of 1 / k; at every flip the last becomes first. */
export function withModels(
  trace: readonly Request[],
  models: number,
  flipMs: number,
  dice: Dice,
): Request[] {
  const weights = Array.from({ length: models }, (_, rank) => 1 / (rank + 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return trace.map((request) => {
    let point = dice.roll() * total
    let rank = 0
    while (rank < models - 1 && point >= weights[rank]!) point -= weights[rank++]!
    const flips = Math.floor(request.atMs / flipMs)
    return { ...request, model: (rank + models - (flips % models)) % models }
  })
}

/** The same for conversations: each stays with the model that it has begun with. */
export function withModelsByChat(
  trace: readonly Request[],
  models: number,
  flipMs: number,
  dice: Dice,
): Request[] {
  const first = new Map<string, Request>()
  for (const request of trace) if (!first.has(request.session)) first.set(request.session, request)
  const drawn = withModels([...first.values()], models, flipMs, dice)
  const modelOf = new Map(drawn.map(({ session, model }) => [session, model]))
  return trace.map((request) => ({ ...request, model: modelOf.get(request.session)! }))
}
