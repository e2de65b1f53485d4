import { type Emitted, type Seam, SeamDiverged } from '../../dialects/continuing/continuing.ts'
import { type Channel, channelFor, Guessing, KnownBeginning } from './channels.ts'
import type { Manner, Way } from './manner.ts'

/** A seam by how the model goes on, behind what the client has. One for each leg. */
export function seamFor(
  { manner, trims }: Pick<Way, 'manner' | 'trims'>,
  emitted: Pick<Emitted, 'text' | 'thinking'>,
): Seam & { readonly manner: Manner | 'unknown' } {
  return manner === 'from-the-beginning'
    ? new Again(emitted)
    : new Behind(channelFor(manner, placeOf(emitted), trims), manner, emitted)
}

function isThought(emitted: Pick<Emitted, 'text' | 'thinking'>): boolean {
  return emitted.thinking !== '' && emitted.text.trim() === ''
}

function placeOf(emitted: Pick<Emitted, 'text' | 'thinking'>): string {
  return isThought(emitted) ? emitted.thinking : emitted.text
}

/** The leg goes on where the client's answer broke off: in its thought, or in its text. */
class Behind implements Seam {
  readonly #channel: Channel
  readonly #manner: Manner | 'unknown'
  readonly #emitted: Pick<Emitted, 'text' | 'thinking'>
  readonly #inThought: boolean
  /** The leg has said something that counts. */
  #begun = false
  /** It was seen to begin anew, with its thoughts. */
  #again: Again | undefined

  constructor(
    channel: Channel,
    manner: Manner | 'unknown',
    emitted: Pick<Emitted, 'text' | 'thinking'>,
  ) {
    this.#channel = channel
    this.#manner = manner
    this.#emitted = emitted
    this.#inThought = isThought(emitted)
  }

  /** What a guess has come to, once it has. */
  get manner(): Manner | 'unknown' {
    if (this.#again) return 'from-the-beginning'
    return this.#channel instanceof Guessing ? (this.#channel.manner ?? this.#manner) : this.#manner
  }

  text(piece: string): string {
    if (this.#again) return this.#again.text(piece)
    if (piece === '') return ''
    if (this.#inThought) this.#mayLeaveThought()
    this.#begun = true
    return this.#inThought ? piece : this.#channel.feed(piece)
  }

  thinking(piece: string): string {
    if (this.#again) return this.#again.thinking(piece)
    if (piece === '') return ''
    if (!this.#inThought) return this.#thoughtBehindText(piece)
    this.#begun = true
    return this.#channel.feed(piece)
  }

  end(): { text: string; thinking: string } {
    if (this.#again) return this.#again.end()
    const rest = this.#channel.end()
    return this.#inThought ? { text: '', thinking: rest } : { text: rest, thinking: '' }
  }

  /** The text can not wait for a thought that is not decided, and nobody may hear it before that thought. */
  #mayLeaveThought(): void {
    if (this.#channel.isHolding)
      throw new SeamDiverged('its thought ended before it was clear where it goes on')
    // Some templates close a thought that was begun, and its rest would be lost without a word.
    const isFinished = /[.!?。！？:\n]\s*$/.test(this.#emitted.thinking)
    if (!this.#begun && this.#manner === 'unknown' && !isFinished)
      throw new SeamDiverged('it does not go on with the thought that the client has half of')
  }

  #thoughtBehindText(piece: string): string {
    if (this.#begun) return piece
    // Templates with an empty thought in them.
    if (piece.trim() === '') return ''
    if (this.#manner === 'unknown' && this.#emitted.thinking !== '') {
      this.#again = new Again(this.#emitted)
      return this.#again.thinking(piece)
    }
    throw new SeamDiverged('it thinks again where the client has text already')
  }
}

/** The leg says the whole answer again; what the client has is left out, thought and text each for itself. */
class Again implements Seam {
  readonly manner = 'from-the-beginning'
  readonly #text: KnownBeginning
  readonly #thinking: KnownBeginning
  readonly #hasText: boolean

  constructor({ text, thinking }: Pick<Emitted, 'text' | 'thinking'>) {
    this.#text = new KnownBeginning(text)
    this.#thinking = new KnownBeginning(thinking)
    this.#hasText = text.trim() !== ''
  }

  text(piece: string): string {
    const rest = this.#text.feed(piece)
    if (rest !== '' && !this.#thinking.hasPassed)
      throw new SeamDiverged('it thought less than the client has of its thoughts')
    return rest
  }

  thinking(piece: string): string {
    const rest = this.#thinking.feed(piece)
    if (rest !== '' && this.#hasText && !this.#text.hasPassed)
      throw new SeamDiverged('it thought more than the client has of its thoughts')
    return rest
  }

  end(): { text: string; thinking: string } {
    return { thinking: this.#thinking.end(), text: this.#text.end() }
  }
}
