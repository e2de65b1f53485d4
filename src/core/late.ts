/** Something to be made before somebody waits for it. */
export interface Preparable {
  prepare(): void
}

/** What most processes need only now and then: made when it is first wanted, once, or when there is time for it. */
export class Late<Made> implements Preparable {
  readonly #make: () => Promise<Made>
  #making: Promise<Made> | undefined
  #made: Made | undefined

  constructor(make: () => Promise<Made>) {
    this.#make = make
  }

  /** Undefined: nobody has wanted it yet, or it is on its way. */
  get now(): Made | undefined {
    return this.#made
  }

  /** One that failed is tried again by the next who asks. */
  get(): Promise<Made> {
    this.#making ??= this.#make().then(
      (made) => {
        this.#made = made
        return made
      },
      (error: unknown) => {
        this.#making = undefined
        throw error
      },
    )
    return this.#making
  }

  /** For whoever ends it: what was made, or is on its way; undefined where nobody wanted it, or it failed. */
  async ended(): Promise<Made | undefined> {
    return await this.#making?.catch(() => undefined)
  }

  /** Whoever wants it later hears what went wrong. */
  prepare(): void {
    this.get().catch(() => {})
  }
}
