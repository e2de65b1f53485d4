import type { Ask } from '../core/ask.ts'
import { Failure, type FailureCode } from '../core/failure.ts'
import type { Pool } from '../pool/pool.ts'
import { type Bar, barOf } from '../routing/filters.ts'
import type { Need } from '../routing/need.ts'

/** What a client is told when nobody can serve it; the bars say why, by endpoint. */
export class NobodyServes extends Failure {
  readonly bars: ReadonlyMap<string, Bar>
  constructor(
    code: FailureCode,
    sentence: string,
    bars: ReadonlyMap<string, Bar>,
    retryAfterS: number | undefined,
  ) {
    super(code, sentence, retryAfterS === undefined ? {} : { retryAfterS })
    this.bars = bars
  }
}

/** Nobody can serve it: which sentence says why, and whether coming back later makes sense. */
export function sayNobody(
  ask: Pick<Ask, 'modelText' | 'name'>,
  bars: ReadonlyMap<string, Bar>,
  { pool }: { pool: Pool },
): NobodyServes {
  const failure = (code: FailureCode, sentence: string, retryAfterS?: number) =>
    new NobodyServes(code, sentence, bars, retryAfterS)
  if (bars.size === 0) return failure('no_backend', 'no backend is configured', 10)
  const named = (wanted: Bar) => [...bars].filter(([, bar]) => bar === wanted).map(([name]) => name)
  const resting = named('resting')
  if (resting.length > 0) {
    const untilMs = resting.map(
      (name) => pool.endpoint(name)?.restUntilMs(ask.name.canonical) ?? pool.now,
    )
    const seconds = Math.max(1, Math.ceil((Math.min(...untilMs) - pool.now) / 1_000))
    return failure(
      'all_away',
      `${list(resting)} failed several times with this model and rests`,
      Math.min(60, seconds),
    )
  }
  const hanging = named('loadsHang')
  if (hanging.length > 0)
    return failure(
      'all_away',
      `model '${ask.modelText}' is not in memory, and loads hang on ${list(hanging)}`,
      30,
    )
  const noLabel = named('noLabel')
  if (noLabel.length > 0)
    return failure('unsupported', 'no backend with this model carries the wanted labels')
  if (named('ruledOut').length > 0 && named('away').length + named('draining').length === 0)
    return failure(
      'ruled_out',
      `no backend may serve model '${ask.modelText}' for this request (rules)`,
    )
  // Who is away may still be remembered to have the model; if nobody at all answers, no list means anything.
  const holders = [...named('away'), ...named('draining')]
  const nobodyThere = pool.endpoints.every((endpoint) => !endpoint.ready || !endpoint.enabled)
  if (holders.length > 0 || nobodyThere)
    return failure(
      holders.length > 0 ? 'model_away' : 'all_away',
      holders.length > 0
        ? `model '${ask.modelText}' is on ${list(holders)}, which can not serve now`
        : 'no backend answers',
      5,
    )
  return failure('model_unknown', `model '${ask.modelText}' not found`)
}

/** Somebody must be there to serve this model, at best after a rest; otherwise a Failure says why nobody is. */
export async function mustBeServed(
  model: { readonly text: string; readonly canonical: string; readonly cloud: boolean },
  labels: readonly string[],
  { pool, refreshForUnknown }: { pool: Pool; refreshForUnknown: () => Promise<void> },
): Promise<void> {
  const need: Need = {
    model: model.canonical,
    cloud: model.cloud,
    capabilities: [],
    labels,
    promptTokens: 0,
    digest: pool.servingDigest(model.canonical),
    seat: true,
    work: '',
    pinned: undefined,
    runner: '',
    not: new Set(),
  }
  for (let looks = 0; ; looks++) {
    const bars = new Map<string, Bar>()
    for (const endpoint of pool.endpoints) {
      const bar = barOf(endpoint, endpoint.model(model.canonical), need)
      if (bar === undefined || bar === 'resting') return
      bars.set(endpoint.name, bar)
    }
    const unknown = [...bars.values()].every((bar) => bar === 'noModel' || bar === 'away')
    if (looks > 0 || !unknown || pool.endpoints.length === 0)
      throw sayNobody({ modelText: model.text, name: model }, bars, { pool })
    await refreshForUnknown()
  }
}

function list(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and others`
}
