import { SeamDiverged } from '../../dialects/continuing/continuing.ts'
import { guessManner } from './guess.ts'
import type { Manner } from './manner.ts'
import { tailsOf, writingsOf } from './words.ts'

/** One stream of text of a later leg, its visible one or its thinking: what of it is new to the client. */
export interface Channel {
  feed(piece: string): string
  /** The leg has ended: what was held back. Throws SeamDiverged. */
  end(): string
  /** True while it can not tell yet what of the leg's beginning is new. */
  readonly isHolding: boolean
}

/**
 * `before`: what the client has of this stream. Where it has nothing, there is nothing to mend. `trims`: the template
 * took the white space off its end, so it must come again, and is known.
 */
export function channelFor(manner: Manner | 'unknown', before: string, trims = false): Channel {
  if (before === '') return everything
  switch (manner) {
    case 'exact':
      return trims ? new KnownBeginning(before.slice(before.trimEnd().length)) : everything
    case 'adds-a-space':
      return new OneSpaceLess()
    case 'repeats-the-last-word':
      return new OneWordLess(before)
    case 'from-the-beginning':
      return new KnownBeginning(before)
    case 'unknown':
      return new Guessing(before)
  }
}

const everything: Channel = {
  feed: (piece) => piece,
  end: () => '',
  isHolding: false,
}

/** The model was measured to say one space too many, so the first one goes, whatever stands before it. */
class OneSpaceLess implements Channel {
  readonly isHolding = false
  #begun = false

  feed(piece: string): string {
    if (this.#begun || piece === '') return piece
    this.#begun = true
    return piece.startsWith(' ') ? piece.slice(1) : piece
  }

  end(): string {
    return ''
  }
}

/**
 * The model was measured to say its last word once more. That word goes, once: of "no no" behind "no no" only the first
 * is the repetition. If something else comes, several words are tried, and if it is none of them, all is new.
 */
class OneWordLess implements Channel {
  #writings: string[]
  #held = ''

  constructor(before: string) {
    this.#writings = tailsOf(before).flatMap(writingsOf)
  }

  get isHolding(): boolean {
    return this.#held !== ''
  }

  feed(piece: string): string {
    if (this.#writings.length === 0 || piece === '') return piece
    const at = this.#held.length
    this.#held += piece
    // Only the new piece is looked at: a word can be as long as a text without spaces.
    this.#writings = this.#writings.filter((writing) =>
      piece.length < writing.length - at
        ? writing.startsWith(piece, at)
        : piece.startsWith(writing.slice(at)),
    )
    const whole = this.#writings.find((writing) => writing.length <= this.#held.length)
    if (whole !== undefined) return this.#letGo(whole.length)
    return this.#writings.length > 0 ? '' : this.#letGo(0)
  }

  /** What is still held is the beginning of the repetition: nothing new was said. */
  end(): string {
    return this.#letGo(this.#held.length)
  }

  #letGo(from: number): string {
    const rest = this.#held.slice(from)
    this.#writings = []
    this.#held = ''
    return rest
  }
}

/** What the client has is left out as long as it comes again to the letter. Nothing needs to be held for that. */
export class KnownBeginning implements Channel {
  readonly isHolding = false
  readonly #before: string
  #at = 0

  constructor(before: string) {
    this.#before = before
  }

  get hasPassed(): boolean {
    return this.#at === this.#before.length
  }

  feed(piece: string): string {
    const known = Math.min(piece.length, this.#before.length - this.#at)
    if (known === 0) return piece
    if (!this.#before.startsWith(piece.slice(0, known), this.#at))
      throw new SeamDiverged(`it says something else before character ${this.#at + known}`)
    this.#at += known
    return piece.slice(known)
  }

  end(): string {
    if (!this.hasPassed)
      throw new SeamDiverged(
        `it ended after ${this.#at} of the ${this.#before.length} characters that the client has`,
      )
    return ''
  }
}

/** Nobody has measured this model: the leg's first characters are held until they tell. */
export class Guessing implements Channel {
  readonly #before: string
  #held = ''
  #found: Channel | undefined
  #manner: Manner | undefined

  constructor(before: string) {
    this.#before = before
  }

  get isHolding(): boolean {
    return this.#found?.isHolding ?? this.#held !== ''
  }

  /** What it was taken for. */
  get manner(): Manner | undefined {
    return this.#manner
  }

  feed(piece: string): string {
    if (this.#found) return this.#found.feed(piece)
    this.#held += piece
    return this.#look(false)
  }

  end(): string {
    const rest = this.#found ? '' : this.#look(true)
    return rest + (this.#found?.end() ?? '')
  }

  #look(isOver: boolean): string {
    const manner = guessManner(this.#before, this.#held, isOver)
    if (manner === undefined) return ''
    this.#manner = manner
    this.#found = channelFor(manner, this.#before)
    const held = this.#held
    this.#held = ''
    return this.#found.feed(held)
  }
}
