/** A stop string of which the client has the beginning already, and what would complete it. */
interface Begun {
  readonly rest: string
}

/**
 * Watches for a stop string that begins in what the client has and ends in what comes now: no server sees both. Text
 * is held back only while it could complete one, which is less than the longest stop string. The beginning that the
 * client has can not be taken back; the answer ends without the rest. Stop strings that lie in the new text alone are
 * the later server's to cut out.
 */
export class StopGuard {
  #begun: readonly Begun[]
  #held = ''
  #hit = false

  constructor(stops: readonly string[], emitted: string) {
    this.#begun = stops.flatMap((stop) =>
      Array.from({ length: Math.max(0, stop.length - 1) }, (_, index) => index + 1)
        .filter((length) => emitted.endsWith(stop.slice(0, length)))
        .map((length) => ({ rest: stop.slice(length) })),
    )
  }

  /** True once a stop string was completed: the answer is over. */
  get hit(): boolean {
    return this.#hit
  }

  /** Takes the next text; gives what can not belong to a stop string any more. */
  take(piece: string): string {
    if (this.#hit) return ''
    if (this.#begun.length === 0) return piece
    this.#held += piece
    const held = this.#held
    if (this.#begun.some(({ rest }) => held.startsWith(rest))) {
      this.#hit = true
      this.#held = ''
      return ''
    }
    this.#begun = this.#begun.filter(({ rest }) => rest.startsWith(held))
    return this.#begun.length > 0 ? '' : this.rest()
  }

  /** Nothing more comes: what is held was no stop string. */
  rest(): string {
    const held = this.#held
    this.#held = ''
    this.#begun = []
    return held
  }
}
