import type { Few } from './few.ts'
import { canonical, isObject, type JsonObject } from './json-text.ts'
import { oneLine } from './part-name.ts'

/** Two answers that say different things of one and the same. */
export interface Conflict {
  /** Where, as a JSON pointer. */
  readonly at: string
  /** What stands in the combined value: what the earlier part said. */
  readonly kept: string
  readonly left: string
  /** The part whose value was left out. */
  readonly part: string
}

/** A value in a report is there to be recognised, not to be read whole. */
const shownCharsMax = 120

/**
 * Merges one answer into another: arrays under one key are joined, objects merged, and of two different values the
 * earlier stays, as a part that read the beginning of something mostly knows best what it is; each such loss is noted.
 * null gives way to anything, for it is how a part says that it found nothing.
 */
export function mergeInto(
  into: JsonObject,
  from: JsonObject,
  part: string,
  conflicts: Few<Conflict>,
  at = '',
): void {
  for (const key of Object.keys(from)) {
    const given = from[key]
    const there = Object.hasOwn(into, key) ? into[key] : null
    const here = `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (there === null) put(into, key, given)
    else if (isObject(there) && isObject(given)) mergeInto(there, given, part, conflicts, here)
    else if (Array.isArray(there) && Array.isArray(given)) append(there, given)
    else if (given !== null && canonical(there) !== canonical(given))
      conflicts.add({ at: oneLine(here, 200), kept: shown(there), left: shown(given), part })
  }
}

/** One by one: a spread of a long array runs out of stack. */
export function append(into: unknown[], from: readonly unknown[]): void {
  for (const item of from) into.push(item)
}

/** As JSON.parse does it: assigned, a key named `__proto__` would change what the object is. */
function put(into: JsonObject, key: string, value: unknown): void {
  Object.defineProperty(into, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  })
}

const shown = (value: unknown) => oneLine(JSON.stringify(value), shownCharsMax)
