/**
 * A Map with a bound: beyond it, what was used longest ago is forgotten. The order of use is kept only from half of the
 * bound on. Moving an entry at every use would have the table laid out anew again and again, and what stood in the old
 * ones stays in memory until a full collection (see Roster).
 */
export class Recent<K, V> {
  readonly #map = new Map<K, V>()
  readonly #sizeMax: number

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  get size(): number {
    return this.#map.size
  }

  /** To look at, which is no use. */
  peek(key: K): V | undefined {
    return this.#map.get(key)
  }

  get(key: K): V | undefined {
    const value = this.#map.get(key)
    if (value !== undefined) this.#used(key, value)
    return value
  }

  set(key: K, value: V): void {
    if (this.#map.has(key)) {
      this.#map.set(key, value)
      return this.#used(key, value)
    }
    this.#map.set(key, value)
    if (this.#map.size > this.#sizeMax) this.#map.delete(this.#map.keys().next().value as K)
  }

  delete(key: K): void {
    this.#map.delete(key)
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return this.#map.entries()
  }

  #used(key: K, value: V): void {
    if (this.#map.size * 2 < this.#sizeMax) return
    this.#map.delete(key)
    this.#map.set(key, value)
  }
}
