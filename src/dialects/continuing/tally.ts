import type { Emitted } from './continuing.ts'

/** Ollama ends a stream whose pieces repeat: the first and thirty more are let out. Source: server/routes.go, tokenRepeat. */
const repeatsMax = 31

/** Adds up what frames have told a client. */
export class Tally {
  readonly #texts: string[] = []
  readonly #thoughts: string[] = []
  #pieces = 0
  #last: string | undefined
  #equal = 0
  bar: Emitted['bar']

  piece(text: string, thinking: string): void {
    if (text === '' && thinking === '') return
    this.#texts.push(text)
    this.#thoughts.push(thinking)
    this.#pieces++
    const said = (text + thinking).trim()
    this.#equal = said === this.#last ? this.#equal + 1 : 1
    this.#last = said
  }

  /** A call is the stronger reason: it bars for ever, whatever else can not be read. */
  call(): void {
    this.bar = 'toolCall'
  }

  unreadable(): void {
    this.bar ??= 'unreadable'
  }

  emitted(opening: Emitted['opening']): Emitted {
    return {
      text: this.#texts.join(''),
      thinking: this.#thoughts.join(''),
      pieces: this.#pieces,
      repeats: this.#equal >= repeatsMax,
      bar: this.bar,
      opening,
    }
  }
}
