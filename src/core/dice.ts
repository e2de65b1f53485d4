/** Chance comes in by the door, so that a storm can be replayed from its seed. */
export interface Dice {
  /** A number from 0 up to, not including, 1. */
  roll(): number
}

export function realDice(): Dice {
  return { roll: Math.random }
}

/** The same numbers for the same seed (the mulberry32 generator). */
export function seededDice(seed: number): Dice {
  let state = seed >>> 0
  return {
    roll() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
    },
  }
}

/** `centre` moved by up to `share` of itself either way: a fleet asked on the same beat should not answer as one. */
export function jittered(dice: Dice, centre: number, share: number): number {
  return centre * (1 + share * (2 * dice.roll() - 1))
}
