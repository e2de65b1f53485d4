/** Something that can stand on a roster; it keeps its own place there. */
export interface Rostered {
  /** −1: on none. */
  place: number
}

/**
 * Those who are here now, in no order, for many who come and go. Not a `Set`: each time a Set is laid out anew, the old
 * table points to the new one, and once a table has grown old, all that ever stood in those after it stays in memory
 * until a full collection.
 */
export class Roster<T extends Rostered> implements Iterable<T> {
  readonly #all: T[] = []

  get size(): number {
    return this.#all.length
  }

  /** Whoever it is; undefined: nobody is here. */
  get anyone(): T | undefined {
    return this.#all[0]
  }

  add(one: T): void {
    if (one.place >= 0) return
    one.place = this.#all.push(one) - 1
  }

  delete(one: T): void {
    const { place } = one
    if (this.#all[place] !== one) return
    const last = this.#all.pop()!
    one.place = -1
    if (last === one) return
    this.#all[place] = last
    last.place = place
  }

  /** Over those who were here when it began. */
  [Symbol.iterator](): Iterator<T> {
    return this.#all.slice().values()
  }
}
