/** Ways to cut, as clients name them. */
export const splitterNames = [
  'lines',
  'paragraphs',
  'sentences',
  'tokens',
  'markdown',
  'code',
  'records',
  'items',
] as const
export type SplitterName = (typeof splitterNames)[number]

/**
 * One piece of the input. Pieces lie end to end: the first starts at 0, each starts where the one before ends, and the
 * last ends with the input, so that joining them gives the input back.
 */
export interface Part {
  readonly index: number
  /** Offsets in UTF-16 units; for items, in items. */
  readonly start: number
  readonly end: number
  /** Where the text begins that is sent: before `start` where parts overlap. */
  readonly from: number
  /**
   * What is sent: what it carries, then the input between `from` and `end`; for the elements of a JSON array, an array
   * of them.
   */
  readonly text: string
  /** What `text` weighs, as estimated, rounded up; never above `tokensMax`. */
  readonly tokens: number
  /** For people: `lines 11-20`, `Introduction › Aims`. */
  readonly label: string
}

export interface CutWishes {
  /**
   * Units a part at most (lines, paragraphs, sentences, records, items; for tokens, Markdown and code: tokens), from 1;
   * undefined: the splitter's own default.
   */
  readonly size: number | undefined
  /** Units of the part before that are sent again with each part, fewer where there is no room; measured as `size`. */
  readonly overlap: number
  /** What a part's text may weigh at most, all that it carries and repeats included. */
  readonly tokensMax: number
  /** Best not rounded, so that pieces add up to the whole; a part's own number is rounded up. */
  readonly tokensOf: (text: string) => number
  /** For code: `typescript`, `python`, or a file ending; undefined: found out from the text. */
  readonly language: string | undefined
}

/** A unit that may not be cut is larger than every context; nothing is sent. */
export class PartTooLarge extends Error {
  readonly label: string
  readonly tokens: number
  constructor(label: string, tokens: number, tokensMax: number) {
    super(`${label} has about ${tokens} tokens, and a part can have ${tokensMax}`)
    this.label = label
    this.tokens = tokens
  }
}

/** Cuts a text; throws PartTooLarge, or CannotCut where the input is not what the splitter is for. */
export type Splitter = (text: string, wishes: CutWishes) => Part[] | Promise<Part[]>

/** The input is not of the kind that this splitter cuts; the message says what is wrong with it. */
export class CannotCut extends Error {}

/** Each is a call of a model: at a second each, so many take a day. Their list alone takes 20 MB. */
const partsMax = 100_000

/** Throws CannotCut where they are more than a run may have. */
export function notTooMany(parts: Part[]): Part[] {
  if (parts.length <= partsMax) return parts
  throw new CannotCut(
    `it would be cut into ${parts.length} parts, and ${partsMax} are the most; give a larger "size"`,
  )
}
