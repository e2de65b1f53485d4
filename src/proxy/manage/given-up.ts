import type { Clock } from '../../core/clock.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'

/** A server busy with a download may miss its probes; one that is silent as well is frozen. */
const quietMsMax = 5_000

interface Watch extends Disposable {
  /** It has said something. */
  heard(): void
}

/**
 * Calls back when the probes have given a backend up and nothing comes from it either: commands have no limit of time,
 * and a frozen server would hold one for ever.
 */
export function whenGivenUp(pool: Pool, clock: Clock, endpoint: Endpoint, act: () => void): Watch {
  let heardMs = clock.now() - quietMsMax // silent until it says its first word
  let timer: Disposable | undefined
  const check = () => {
    timer?.[Symbol.dispose]()
    timer = undefined
    if (endpoint.health.state !== 'away') return
    const leftMs = heardMs + quietMsMax - clock.now()
    if (leftMs <= 0) act()
    else timer = clock.after(leftMs, check)
  }
  const listening = pool.onChange(check)
  return {
    heard() {
      heardMs = clock.now()
    },
    [Symbol.dispose]() {
      listening[Symbol.dispose]()
      timer?.[Symbol.dispose]()
    },
  }
}
