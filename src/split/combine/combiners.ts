import type { Combiner, CombinerName } from './combiner.ts'
import { concat } from './concat.ts'
import { json } from './json.ts'
import type { CombineOptions } from './options.ts'
import { type ReduceCall, reduce } from './reduce.ts'
import { vote } from './vote.ts'
import { yaml } from './yaml.ts'

/** What a combiner may need to know of the request and its parts. */
export interface CombineContext {
  /** How many parts there are in all. */
  readonly parts: number
  /** True when the input was cut at line ends (lines, paragraphs, markdown, code, records). */
  readonly lineLike: boolean
  /** True when parts share some of the input with the part before. */
  readonly overlapping: boolean
  /** The request's `format` where it is a JSON schema. */
  readonly schema: object | undefined
  /** What the parts were asked: the request's `instruction`. */
  readonly question: string | undefined
  /** For reduce: asks a model; `CombineOptions.model` is the caller's to heed. */
  readonly ask: (prompt: string, call: ReduceCall) => Promise<string>
  readonly tokensOf: (text: string) => number
  /** For reduce: what one prompt may weigh. */
  readonly tokensMax: number
}

const combiners = {
  concat: (options, context) =>
    concat({
      parts: context.parts,
      with: options.with,
      lineLike: context.lineLike,
      overlapping: context.overlapping,
    }),
  json: (_, { parts, schema }) => json({ parts, schema }),
  yaml: (_, { parts }) => yaml({ parts }),
  reduce: ({ instruction }, { parts, ask, tokensOf, tokensMax, question }) =>
    reduce({ parts, ask, tokensOf, tokensMax, instruction, question }),
  vote: (_, { parts }) => vote({ parts }),
} satisfies Record<CombinerName, (options: CombineOptions, context: CombineContext) => Combiner>

/** A combiner for one request; it is used once. */
export function combinerFor(options: CombineOptions, context: CombineContext): Combiner {
  return combiners[options.by](options, context)
}
