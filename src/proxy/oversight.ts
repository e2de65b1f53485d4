import type { Clock } from '../core/clock.ts'
import type { Roster } from '../core/roster.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import { isDrainOver, isStalled, suspectAfterMs } from './continuing/triggers.ts'
import type { AttemptUnderWay, Exchange } from './exchange.ts'

/** Both limits that are looked at have half a minute at least: a second more is nothing to them. */
const beatMs = 1_000
/**
 * Made ready at one look: some milliseconds of work, which nobody's next token should wait for any longer. A request is
 * parsed for it, so its bytes count as well; one that is larger than that has a look to itself.
 */
const expectedMax = 64
const expectedBytesMax = 524_288

export interface OversightDoors {
  readonly clock: Clock
  /** How long answers may stay on a backend that is drained, in milliseconds. */
  readonly drainMs: () => number
  /** This one's backend is drained and the limit over: it is to go on elsewhere. Called again until it has. */
  readonly move: (exchange: Exchange) => void
  /** This one streams, and its backend may die any moment: what can be made ready for that is made now. */
  readonly expect: (exchange: Exchange) => void
  /** How many streams run where; said at each look, and once more when none is left. */
  readonly streamsAt: (counts: ReadonlyMap<Endpoint, number>) => void
}

/**
 * Looks after the answers under way, once a second and for all of them together: a stream whose backend has stalled is
 * given up, one whose backend is drained moves. Nothing of it costs a piece of a stream anything.
 */
export class Oversight {
  readonly #running: Roster<Exchange>
  readonly #doors: OversightDoors
  #beat: Disposable | undefined

  constructor(running: Roster<Exchange>, doors: OversightDoors) {
    this.#running = running
    this.#doors = doors
  }

  /** There is something to look after; ends by itself when there is nothing left. */
  begin(): void {
    this.#beat ??= this.#doors.clock.after(beatMs, () => {
      this.#beat = undefined
      if (this.#running.size === 0) return this.#doors.streamsAt(nowhere)
      this.#look()
      this.begin()
    })
  }

  #look(): void {
    const now = this.#doors.clock.now()
    const running = [...this.#running]
    for (const attempt of stalledAmong(
      running.flatMap(({ attempt }) => attempt ?? []),
      now,
    ))
      attempt.end({
        kind: 'brokeOff',
        afterFirstByte: true,
        reusedSocket: false,
        text: attempt.endpoint.ready
          ? 'it fell silent, and so did all of its other streams'
          : 'it fell silent, and its probes fail',
      })
    this.#doors.streamsAt(countStreams(running))
    this.#expect(running)
    const limitMs = this.#doors.drainMs()
    for (const exchange of running) {
      const { attempt } = exchange
      const sinceMs = attempt?.endpoint.drainingSinceMs
      if (sinceMs === undefined || !attempt?.gaps) continue
      if (isDrainOver({ sinceMs, limitMs }, attempt.gaps.tokens, now)) this.#doors.move(exchange)
    }
  }

  #expect(running: readonly Exchange[]): void {
    let [count, bytes] = [0, 0]
    for (const exchange of running) {
      if (exchange.isExpected || !exchange.attempt?.gaps?.tokens) continue
      bytes += exchange.asked.body.size
      if (++count > expectedMax || (count > 1 && bytes > expectedBytesMax)) return
      exchange.isExpected = true
      this.#doors.expect(exchange)
    }
  }
}

const nowhere: ReadonlyMap<Endpoint, number> = new Map()

function countStreams(running: readonly Exchange[]): Map<Endpoint, number> {
  const counts = new Map<Endpoint, number>()
  for (const { attempt } of running)
    if (attempt?.gaps) counts.set(attempt.endpoint, (counts.get(attempt.endpoint) ?? 0) + 1)
  return counts
}

type Stream = Pick<AttemptUnderWay, 'gaps' | 'paused'> & {
  readonly endpoint: { readonly ready: boolean }
}

/** Those whose backend is taken to be frozen, with its probes or its other streams as witnesses. */
export function stalledAmong<S extends Stream>(attempts: readonly S[], nowMs: number): S[] {
  // One whose reader is waited for says nothing, neither for itself nor as a witness.
  const streams = attempts.filter(({ gaps, paused }) => gaps && gaps.tokens > 0 && !paused)
  return streams.filter((stream) => {
    const limitMs = suspectAfterMs(stream.gaps!)
    if (limitMs === undefined || stream.gaps!.silentMs(nowMs) < limitMs) return false
    const others = streams.filter((other) => other !== stream && other.endpoint === stream.endpoint)
    return isStalled(stream.gaps!, nowMs, {
      probeFailed: !stream.endpoint.ready,
      otherStreams: others.length,
      otherStreamsSilent: others.filter(({ gaps }) => gaps!.silentMs(nowMs) >= limitMs).length,
    })
  })
}
