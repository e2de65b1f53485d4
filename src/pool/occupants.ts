import type { ModelInMemory } from './catalogue.ts'
import type { Departed, Occupant } from './memory.ts'

/** A server's clock differs from ours; what would have left about now may have left by itself. */
const expiryMsUnclear = 15_000

/** A model as far as its room counts: graphics memory where the server tells the two apart, else all of it. */
export function occupantOf({ canonical, sizeVramBytes, sizeBytes }: ModelInMemory): Occupant {
  return { name: canonical, bytes: sizeVramBytes || (sizeBytes ?? 0) }
}

/** Room of all these. */
export function bytesOf(models: Iterable<ModelInMemory>): number {
  let bytes = 0
  for (const model of models) bytes += occupantOf(model).bytes
  return bytes
}

/** One that is gone, and whether it had to go: not if it was asked to leave (`parting`), or its time was over. */
export function departedOf(
  model: ModelInMemory,
  hasCome: boolean,
  parting: ReadonlySet<string>,
  wallMs: number,
): Departed {
  const { canonical, expiresAt } = model
  // Where nobody says what time it had, it was pushed out only if something else is there instead.
  const hadTimeLeft =
    expiresAt === undefined ? hasCome : Date.parse(expiresAt) > wallMs + expiryMsUnclear
  return { ...occupantOf(model), hadToLeave: !parting.has(canonical) && hadTimeLeft }
}
