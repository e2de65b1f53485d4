/**
 * A Map with a bound: beyond it, what was used longest ago is forgotten. The order of use is kept only from half of the
 * bound on. Moving an entry at every use would have the table laid out anew again and again, and what stood in the old
 * ones stays in memory until a full collection (see Roster).
 *
 * What was found last is kept beside the table: mostly it is what is asked for next, and a table that other work has
 * pushed out of the processor's caches takes longer to look into than all that is done with what is found.
 */
export class Recent<K, V> {
  readonly #map = new Map<K, V>()
  readonly #sizeMax: number
  #lastKey: K | undefined
  /** Undefined: nothing was found last. */
  #last: V | undefined

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  get size(): number {
    return this.#map.size
  }

  /** To look at, which is no use. */
  peek(key: K): V | undefined {
    if (this.#last !== undefined && this.#lastKey === key) return this.#last
    return this.#find(key)
  }

  get(key: K): V | undefined {
    const value = this.peek(key)
    if (value !== undefined && this.#map.size * 2 >= this.#sizeMax) this.#used(key, value)
    return value
  }

  set(key: K, value: V): void {
    const before = this.#map.size
    this.#map.set(key, value)
    const { size } = this.#map
    if (size === before) {
      if (size * 2 >= this.#sizeMax) this.#used(key, value)
    } else if (size > this.#sizeMax) this.#map.delete(this.#map.keys().next().value as K)
    this.#lastKey = key
    this.#last = value
  }

  delete(key: K): void {
    this.#last = undefined
    this.#map.delete(key)
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return this.#map.entries()
  }

  #find(key: K): V | undefined {
    const value = this.#map.get(key)
    if (value !== undefined) {
      this.#lastKey = key
      this.#last = value
    }
    return value
  }

  #used(key: K, value: V): void {
    this.#map.delete(key)
    this.#map.set(key, value)
  }
}
