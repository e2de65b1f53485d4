import { Failure } from '../core/failure.ts'
import type { JoinSettings } from '../core/settings.ts'
import { addressList } from '../guard/address.ts'
import { joinKey, memberTag, sessionKey, type Verdict, verify } from '../guard/signing.ts'
import { type CallDoors, greet } from './calls.ts'
import type { Arrival, Member, MemberState } from './member.ts'
import type { Known } from './memory.ts'
import { placeOf, type Resolve } from './place.ts'
import { barToJoin, mayEnter, type Refusal, type Seen } from './register.ts'
import type { Replays } from './replays.ts'
import { readJoin } from './words.ts'

/** A call that came in, as far as its signature is concerned. */
export interface SignedCall {
  readonly method: string
  /** With its query, as it was asked for. */
  readonly path: string
  readonly body: Buffer
  /** The value of X-Chasqui-Signed. */
  readonly header: string | undefined
  readonly peer: string
}

export interface JoinDoors extends CallDoors {
  readonly resolve: Resolve
  readonly replays: Replays
  readonly nowMs: () => number
  readonly settings: JoinSettings
  readonly hop: string
  readonly ownAddresses: () => readonly string[]
  readonly ownPort: () => number
  /** Everybody who is there at this moment. */
  readonly seen: () => Seen
  readonly known: (name: string, before: Member | undefined) => Known | undefined
}

export interface Joined {
  readonly arrival: Arrival
  readonly state: Extract<MemberState, 'accepted' | 'pending'>
  readonly key: Buffer
  /** Of the call, which the answer repeats. */
  readonly nonce: string
  readonly proxyNonce: string
}

/** One who wants to join, from its signature to the place among the members; throws the Failure that it hears. */
export async function join(call: SignedCall, doors: JoinDoors): Promise<Joined> {
  const { settings } = doors
  if (settings.token === undefined)
    throw new Failure('join_closed', 'this proxy has no join token, so nobody can join')
  const key = joinKey(settings.token)
  const nonce = believed(call, key, doors)
  const words = readJoin(call.body)
  if (typeof words === 'string') throw new Failure('request_invalid', words)
  const place = orThrow(
    await placeOf(
      { url: words.url, port: words.port, peer: call.peer },
      {
        isAllowed: addressList(settings.allowAddresses),
        ownAddresses: doors.ownAddresses(),
        ownPort: doors.ownPort(),
      },
      doors.resolve,
    ),
  )
  const { name, instance } = words
  const applicant = { name, instance, origin: place.origin }
  refuseIf(barToJoin(applicant, doors.seen()))
  const before = doors.seen().members.get(name)
  const state = mayEnter(
    { name, labels: words.labels, addresses: [call.peer, place.address] },
    { rules: settings.allow, known: doors.known(name, before) },
  )
  if (state === 'rejected') throw new Failure('member_rejected', `"${name}" was rejected here`)
  const greeted = orThrow(await greet(applicant, { key, hop: doors.hop }, doors))
  // While it was called, another one may have taken the name.
  refuseIf(barToJoin(applicant, doors.seen()))
  const session = sessionKey(key, greeted.agentNonce, greeted.proxyNonce)
  const agent = { instance, managed: words.managed, key: session, tag: memberTag(session) }
  return {
    arrival: {
      name,
      how: 'joined',
      origin: place.origin,
      labels: words.labels,
      version: words.version,
      agent,
    },
    state,
    key,
    nonce,
    proxyNonce: greeted.proxyNonce,
  }
}

/** The nonce of a call that was signed with the token, now, and for the first time. */
function believed(call: SignedCall, key: Buffer, doors: JoinDoors): string {
  const verdict = verify({ ...call, key, nowMs: doors.wallMs() })
  if (!verdict.ok) throw new Failure('join_forged', sayForged(verdict.why))
  switch (doors.replays.see(verdict.nonce, doors.nowMs())) {
    case 'seen':
      throw new Failure('join_forged', 'this call was made before')
    case 'full':
      throw new Failure('members_full', 'too many have asked to join in the last minutes', {
        retryAfterS: 30,
      })
    case 'new':
      return verdict.nonce
  }
}

export function sayForged(why: Extract<Verdict, { ok: false }>['why']): string {
  switch (why) {
    case 'unsigned':
      return 'the call is not signed'
    case 'unreadable':
      return 'the signature can not be read'
    case 'stale':
      return 'the call was signed at another time: the clocks of the two machines are too far apart'
    case 'forged':
      return 'the call was signed with another token'
  }
}

function orThrow<Found extends object>(found: Found | Refusal): Found {
  if (isRefusal(found)) throw new Failure(found.code, found.sentence)
  return found
}

function refuseIf(refusal: Refusal | undefined): void {
  if (refusal) throw new Failure(refusal.code, refusal.sentence)
}

const isRefusal = (found: object): found is Refusal => 'sentence' in found
