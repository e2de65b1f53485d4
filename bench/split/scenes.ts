import type { MachineSpec } from './machine.ts'

export interface Scene {
  readonly title: string
  readonly machines: readonly MachineSpec[]
  readonly parts: number
  /** Whether parts are many enough for total work / total speed to be the bound. */
  readonly isFluid: boolean
  /** The proxy has served a run before, so that it knows the speeds. */
  readonly isWarm: boolean
  /** How often the parts are also dealt out round robin: where machines are unequal that takes most of a minute. */
  readonly dealtRounds: number
  /** The largest ratio to the bound that is promised. */
  readonly ratioMax: number
  /** Also in the short form. */
  readonly isShort: boolean
  /** How many times better than dealing round robin it is to be; undefined: nothing is said of it. */
  readonly betterMin: number | undefined
}

/** The requirement's least number of parts for each backend. */
const partsPerMachine = 32

/** `scale` 1: a part takes a fifth of a second on equal machines, a tenth on the fastest of unequal ones. */
export function scenesOf(scale: number, dealtRounds: number): Scene[] {
  const equal = (count: number): Scene => ({
    title: `${count} equal`,
    machines: Array.from({ length: count }, (_, index) => ({
      name: `equal-${index + 1}`,
      partMs: 200 * scale,
      loadMs: 0,
      diesAtMs: undefined,
    })),
    parts: partsPerMachine * count,
    isFluid: true,
    isWarm: false,
    dealtRounds,
    ratioMax: 1.05,
    isShort: count === 4,
    betterMin: undefined,
  })
  const healthy = unequal(scale)
  const troubled = healthy.map((machine) => ({
    ...machine,
    ...(machine.name === 'six' ? { loadMs: 2_000 * scale } : {}),
    ...(machine.name === 'three' ? { diesAtMs: 3_500 * scale } : {}),
  }))
  const many = {
    parts: partsPerMachine * healthy.length,
    isFluid: true,
    isWarm: false,
    ratioMax: 1.1,
    betterMin: 2,
    isShort: true,
  }
  const few = {
    ...{ parts: 6, isFluid: false, dealtRounds, ratioMax: 1.1, betterMin: undefined },
    isShort: false,
  }
  return [
    equal(4),
    equal(8),
    {
      title: '12:6:3:1',
      machines: healthy,
      ...many,
      ...{ betterMin: undefined, dealtRounds: 0, isShort: false },
    },
    {
      title: '12:6:3:1, one cold, one dies',
      machines: troubled,
      ...many,
      dealtRounds: Math.min(dealtRounds, 1),
    },
    { title: '12:6:3:1, few parts', machines: healthy, ...few, isWarm: false },
    { title: '12:6:3:1, few parts, speeds known', machines: healthy, ...few, isWarm: true },
  ]
}

/** In this order a part that fails at the one that dies goes to the fastest: nobody shall say dealing had no chance. */
function unequal(scale: number): MachineSpec[] {
  const machine = (name: string, speed: number) => ({
    name,
    partMs: (1_200 / speed) * scale,
    loadMs: 0,
    diesAtMs: undefined,
  })
  return [machine('twelve', 12), machine('one', 1), machine('six', 6), machine('three', 3)]
}
