import type { LoadReport } from '../core/load-report.ts'

/**
 * Somebody who joined or was found. `pending`: nobody has said yes to it; `accepted`: a backend; `gone`: accepted, and
 * not heard of any more; `leaving`: out of service, while what runs there ends.
 */
export type MemberState = 'pending' | 'accepted' | 'gone' | 'leaving'

export type MemberEvent = 'accept' | 'heard' | 'silence' | 'leave' | 'reject' | 'ended'

const after: Readonly<
  Record<MemberState, Partial<Record<MemberEvent, MemberState | 'forgotten'>>>
> = {
  // Nobody is asked about a machine that is not there.
  pending: { accept: 'accepted', silence: 'forgotten', leave: 'forgotten', reject: 'forgotten' },
  accepted: { silence: 'gone', leave: 'leaving', reject: 'leaving' },
  gone: { heard: 'accepted', leave: 'leaving', reject: 'leaving' },
  leaving: { ended: 'forgotten' },
}

/** What an event makes of a member; an event that means nothing to its state leaves it. */
export function memberAfter(state: MemberState, event: MemberEvent): MemberState | 'forgotten' {
  return after[state][event] ?? state
}

/** How somebody came to be known. */
export type How = 'joined' | 'mdns' | 'scan'

/** What is known of a member when it comes. */
export interface Arrival {
  readonly name: string
  readonly how: How
  /** The address that was checked, and is the one that is called. */
  readonly origin: string
  readonly labels: readonly string[]
  readonly version: string
  /** Set for agents only, while they are known; not for one that served before a restart and has not come back. */
  readonly agent: AgentSession | undefined
}

export interface AgentSession {
  readonly instance: string
  readonly managed: boolean
  /** What it signs with from now on. Secret. */
  readonly key: Buffer
  /** Sent with what is forwarded. Secret. */
  readonly tag: string
}

export interface Member extends Arrival {
  state: MemberState
  /** On the clock's `now`. */
  heardMs: number
  /** For people. */
  heardWallMs: number
  /** The highest number that it has sent in this session. */
  sequence: number
  /** Of our own calls to it. */
  ownSequence: number
  load: LoadReport | undefined
}

export function memberOf(
  arrival: Arrival,
  state: MemberState,
  now: { readonly ms: number; readonly wallMs: number },
): Member {
  return {
    ...arrival,
    state,
    heardMs: now.ms,
    heardWallMs: now.wallMs,
    sequence: 0,
    ownSequence: 0,
    load: undefined,
  }
}
