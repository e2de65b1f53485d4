import type { FailureCode } from '../core/failure.ts'
import type { AllowRule } from '../core/settings.ts'
import { isAllowed, type Newcomer } from './allow.ts'
import type { Member } from './member.ts'
import type { Known } from './memory.ts'

/** Why somebody may not join: a code of our table, and the sentence of the moment. */
export interface Refusal {
  readonly code: FailureCode
  readonly sentence: string
}

/** Somebody who would be a member, as far as a decision needs to know it. */
export interface Applicant {
  readonly name: string
  readonly instance: string
  readonly origin: string
}

export interface Seen {
  /** Backends that are no members: names, and where they are. */
  readonly others: readonly { readonly name: string; readonly origin: string }[]
  readonly members: ReadonlyMap<string, Member>
  readonly membersMax: number
}

/** May this name and this address become a member's? */
export function barToJoin(
  { name, instance, origin }: Applicant,
  { others, members, membersMax }: Seen,
): Refusal | undefined {
  if (others.some((other) => other.name === name))
    return taken(`"${name}" is the name of a backend of the configuration`)
  const twin = others.find((other) => other.origin === origin)
  if (twin) return taken(`${origin} is the backend "${twin.name}" already`)
  for (const member of members.values())
    if (member.name !== name && member.origin === origin && isThere(member))
      return taken(`${origin} is the member "${member.name}" already`)
  const before = members.get(name)
  // At the same address there is one process, and it has just said that it is another run: the old one has ended.
  const isOther = before !== undefined && before.agent?.instance !== instance
  if (before && isOther && isThere(before) && before.origin !== origin)
    return taken(`"${name}" is there already, at ${before.origin}`)
  if (!before && members.size >= membersMax)
    return { code: 'members_full', sentence: `there are ${membersMax} members already (join.max)` }
  return undefined
}

/** Is it a backend at once, or does somebody have to say so first? */
export function mayEnter(
  newcomer: Newcomer,
  { rules, known }: { readonly rules: readonly AllowRule[]; readonly known: Known | undefined },
): 'accepted' | 'pending' | 'rejected' {
  const [, address] = newcomer.addresses
  // What was accepted is a name at an address: another machine that takes the name of one that is off is asked about.
  const isKnown = known !== undefined && known.address === address
  if (isKnown && known.answer === 'rejected') return 'rejected'
  if ((isKnown && known.answer === 'accepted') || isAllowed(newcomer, rules)) return 'accepted'
  return 'pending'
}

/** An agent that only was here before a restart of the proxy has still to show that it is. */
const isThere = ({ state, how, agent }: Member) =>
  (state === 'accepted' || state === 'pending') && (how !== 'joined' || agent !== undefined)

const taken = (sentence: string): Refusal => ({ code: 'name_taken', sentence })
