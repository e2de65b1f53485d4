/** How an attempt ended. Error codes are read in one room (proxy/judge); everyone else reads these words. */
export type Outcome =
  /** The answer came, whole. */
  | { readonly kind: 'answered'; readonly status: number }
  /** The backend said no, with a status of its own. */
  | {
      readonly kind: 'refused'
      readonly status: number
      readonly why: Refusal
      readonly text: string
    }
  /** No connection; nothing was sent. */
  | { readonly kind: 'unreachable'; readonly text: string }
  /** A limit of ours ran out. */
  | {
      readonly kind: 'timedOut'
      readonly limit: 'firstByte' | 'idle' | 'total'
      readonly text: string
    }
  /** The connection ended before the answer did. */
  | {
      readonly kind: 'brokeOff'
      readonly afterFirstByte: boolean
      readonly reusedSocket: boolean
      /** It ended as HTTP should, only without its last line: the server lives, its model was stopped. */
      readonly clean?: boolean
      readonly text: string
    }
  /** Cut by us in the middle of its answer, since its backend is drained and another one goes on with it. */
  | { readonly kind: 'moved'; readonly text: string }
  /** Cut by us in the middle of its answer: it is batch work, and its seat goes to this request of a person's. */
  | {
      readonly kind: 'gaveWay'
      readonly to: string
      /** Seconds that the other one waits less for that, and those that it takes to read this one's text again. */
      readonly savedS: number
      readonly rereadS: number
    }
  /** Ended by us before it said a word: the same request was sent elsewhere as well, and the first byte came there. */
  | { readonly kind: 'overtaken'; readonly text: string }
  /** The client hung up; nobody else's fault. */
  | { readonly kind: 'clientLeft' }

/**
 * Why a backend said no, as far as the answer tells:
 * `busy` full queue · `noModel` a stale map on our side · `crashed` its runner died · `outOfMemory` the model does not
 * fit there · `loadsHang` it loads nothing any more, as we judge; nothing was sent · `badAnswer` it answered, with what
 * nobody can use · `serverFault` any other 5xx · `clientFault` the request itself is wrong, anyone would say so.
 */
export type Refusal =
  | 'busy'
  | 'noModel'
  | 'crashed'
  | 'outOfMemory'
  | 'badAnswer'
  | 'serverFault'
  | 'clientFault'
  | 'loadsHang'

/** Whose fault it was, for breakers and logs. */
export function blame(outcome: Outcome): 'backend' | 'client' | 'nobody' {
  switch (outcome.kind) {
    case 'answered':
    case 'moved':
    case 'gaveWay':
    case 'overtaken':
      return 'nobody'
    case 'clientLeft':
      return 'client'
    case 'refused':
      return outcome.why === 'clientFault'
        ? 'client'
        : outcome.why === 'noModel' || outcome.why === 'loadsHang'
          ? 'nobody'
          : 'backend'
    case 'brokeOff':
      // A kept-alive connection that the server closed just as we used it again says nothing about its health.
      if (outcome.clean && outcome.afterFirstByte) return 'nobody'
      return outcome.reusedSocket && !outcome.afterFirstByte ? 'nobody' : 'backend'
    case 'unreachable':
    case 'timedOut':
      return 'backend'
  }
}

/** It met a kept connection that its server was closing: nobody has read it, and it may be sent again. */
export function isRace(outcome: Outcome): boolean {
  return outcome.kind === 'brokeOff' && outcome.reusedSocket
}

/** A runner died under this request: it may be the request that kills. */
export function isDeath(outcome: Outcome): boolean {
  if (outcome.kind === 'refused') return outcome.why === 'crashed'
  return outcome.kind === 'brokeOff' && !outcome.reusedSocket && !outcome.clean
}
