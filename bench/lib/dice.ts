/** A repeatable order: the seed is printed, and `--seed` plays the same rounds again. */
export function shuffler(seed: number): <T>(items: readonly T[]) => T[] {
  let state = seed >>> 0
  // mulberry32: small, and even enough to mix a handful of names.
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return (items) => {
    const mixed = [...items]
    for (let last = mixed.length - 1; last > 0; last--) {
      const other = Math.floor(next() * (last + 1))
      const kept = mixed[last]!
      mixed[last] = mixed[other]!
      mixed[other] = kept
    }
    return mixed
  }
}
