import type { Candidate } from './pickers.ts'

/**
 * Who came back a moment ago steps behind the others once it has enough for now. Only behind those that could begin as
 * soon: rather here than a load elsewhere, and rather here than nowhere.
 */
export function unhurried<C extends Candidate>(free: C[]): C[] {
  if (!free.some(({ model }) => model?.heldBack)) return free
  const isWarmElsewhere = free.some(({ model }) => model?.resident && !model.heldBack)
  const first = free.filter(({ model }) => !model?.heldBack || (model.resident && !isWarmElsewhere))
  return first.length > 0 ? first : free
}
