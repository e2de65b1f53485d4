/** Ways to make one answer of many, as clients name them. */
export const combinerNames = ['concat', 'json', 'yaml', 'reduce', 'vote'] as const
export type CombinerName = (typeof combinerNames)[number]

/** The answer to one part, or why there is none. */
export type PartAnswer =
  | { readonly index: number; readonly label: string; readonly text: string }
  | { readonly index: number; readonly label: string; readonly failed: string }

/**
 * Makes one answer of the parts' answers, given to it in the order of the input whatever order they were finished in.
 * What it can let out before the end it returns at once.
 */
export interface Combiner {
  /**
   * Text that can be let out now; '' for nothing yet. Throws CannotCombine as soon as it is certain, so that the parts
   * still under way need not be waited for.
   */
  add(answer: PartAnswer): string
  /** The rest of the answer, once all are there. Throws CannotCombine. */
  end(): string | Promise<string>
  /**
   * What a reader should know of how it was made (a tie in a vote, levels of a reduction), for the `split` report; whole
   * once `end` is through. Bounded, whatever the answers are.
   */
  readonly notes?: Readonly<Record<string, unknown>>
}

/** The answers can not be made one: the message names the part and what is wrong with it. */
export class CannotCombine extends Error {
  /** The part at fault; undefined when it is the whole. */
  readonly index: number | undefined
  constructor(sentence: string, index?: number) {
    super(sentence)
    this.index = index
  }
}
