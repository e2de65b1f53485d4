/** The last so many of something, for those who ask later; the oldest gives its place to the newest. */
export class Ring<T> {
  readonly #kept: T[] = []
  readonly #sizeMax: number
  #next = 0

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  add(value: T): void {
    this.#kept[this.#next] = value
    this.#next = (this.#next + 1) % this.#sizeMax
  }

  /** In no order. */
  filter(is: (value: T) => boolean): T[] {
    return this.#kept.filter(is)
  }
}
