import { Failure } from '../core/failure.ts'
import { type AutoDecision, decideAuto, predict } from './auto.ts'
import { cutItems } from './cut/items.ts'
import { CannotCut, type Part, type SplitterName } from './cut/splitter.ts'
import { sniff, type TextSplitterName } from './cut/splitters.ts'
import { type Holder, seatsOf } from './fleet.ts'
import type { SplitDoors, SplitOrder } from './order.ts'
import { planCut } from './plan.ts'

/** What a run has decided before anything is sent. */
export interface RunPlan {
  readonly parts: readonly Part[]
  readonly by: SplitterName
  readonly leftOut: readonly { readonly backend: string; readonly context: number }[]
  /** What `auto` thought. */
  readonly decision: AutoDecision | undefined
  readonly note: string | undefined
}

/** Everything that can be refused is refused here. Throws a Failure. */
export async function planRun(
  order: SplitOrder,
  holders: readonly Holder[],
  { speeds, tokens, aside }: Pick<SplitDoors, 'speeds' | 'tokens' | 'aside'>,
  signal: AbortSignal,
): Promise<RunPlan> {
  const { input, split, model } = order
  const tokensOf = (text: string) => tokens.estimate(model.canonical, text)
  const by = typeof input === 'string' ? (split.by ?? byDefault(split.when, input)) : 'items'
  const overheadTokens = tokensOf(order.overhead)
  const cut = await planCut({
    holders,
    overheadTokens,
    answerTokens: order.answerTokens,
    cut: (tokensMax) => {
      const { size, overlap, language } = split
      const wishes = { size, overlap, language, tokensMax }
      if (typeof input !== 'string')
        return orRefused(async () => cutItems(input, { ...wishes, tokensOf }))
      const tokenFactor = tokens.factor(model.canonical)
      const job = { by: by as TextSplitterName, text: input, wishes, tokenFactor }
      return orRefused(async () => (await aside.get()).cut(job, signal))
    },
  })
  const whole = wholeOf(order, tokensOf)
  const decision = split.when === 'auto' ? decide() : undefined
  const parts = decision && !decision.split ? [whole] : cut.parts
  const note =
    parts.length === 1 && !decision ? 'not split: the input is no larger than one part' : undefined
  return { parts, by, leftOut: cut.leftOut, decision, note }

  function decide(): AutoDecision {
    const used = holders.filter(({ name }) => !cut.leftOut.some(({ backend }) => backend === name))
    const weights = cut.parts.map((part) => part.tokens + overheadTokens)
    const predicted = predict(
      {
        whole: whole.tokens + overheadTokens,
        parts: weights.reduce((sum, weight) => sum + weight, 0),
        largestPart: weights.reduce((most, weight) => Math.max(most, weight), 0),
      },
      used.map(({ name, seats }) => ({
        seats,
        msPerToken: speeds.expectedMs(name, model.canonical, 1),
      })),
    )
    return decideAuto({
      parts: cut.parts.length,
      inputTokens: whole.tokens,
      roomTokens: cut.roomTokens,
      seats: seatsOf(used),
      ...predicted,
    })
  }
}

/** The seed's `split: true` cuts by lines; who leaves it to us gets what suits the text. */
function byDefault(when: 'always' | 'auto', text: string): SplitterName {
  return when === 'auto' ? sniff(text) : 'lines'
}

async function orRefused<T>(cut: () => Promise<T>): Promise<T> {
  try {
    return await cut()
  } catch (error) {
    throw error instanceof CannotCut ? new Failure('request_invalid', error.message) : error
  }
}

/** The input in one piece. */
function wholeOf({ input }: SplitOrder, tokensOf: (text: string) => number): Part {
  if (typeof input !== 'string') {
    const tokensMax = Number.POSITIVE_INFINITY
    return cutItems(input, {
      size: input.length,
      overlap: 0,
      language: undefined,
      tokensMax,
      tokensOf,
    })[0]!
  }
  const tokens = tokensOf(input)
  const label = 'the whole input'
  return { index: 0, start: 0, end: input.length, from: 0, text: input, tokens, label }
}
