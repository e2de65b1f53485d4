import type { AllowRule } from '../core/settings.ts'
import { matchesAny } from '../core/wildcard.ts'
import { addressList } from '../guard/address.ts'

export interface Newcomer {
  readonly name: string
  readonly labels: readonly string[]
  /** Where it calls from, and where it will be called: a rule's range must hold for both. */
  readonly addresses: readonly string[]
}

/** Whether a rule lets it in without a person being asked. Of one rule everything that is given must match. */
export function isAllowed(newcomer: Newcomer, rules: readonly AllowRule[]): boolean {
  return rules.some((rule) => matches(newcomer, rule))
}

function matches({ name, labels, addresses }: Newcomer, rule: AllowRule): boolean {
  if (rule.name !== undefined && !matchesAny(name, [rule.name])) return false
  if (!rule.labels.every((label) => labels.includes(label))) return false
  if (rule.from === undefined) return true
  const isFrom = addressList(rule.from)
  return addresses.length > 0 && addresses.every(isFrom)
}
