import type { Goal } from '../goals.ts'
import type { Results } from './results.ts'

type Judge = (results: Results) => Goal[]

const few = { unit: 'x', digits: 2 } as const

/** What is promised of each scenario. What was not played is not a number, and says "not measured". */
export const goalsOf: Readonly<Record<string, Judge>> = {
  B1: (results) => [
    ratio(results, '0.85', 'p99', 'maxconn', 0.75),
    ratio(results, '0.85', 'mean', 'maxconn', 0.95),
    bestRatio(results, '0.85', 'p99', 'weighted', 0.95),
  ],
  B2: (results) =>
    ['code', 'gamma'].map((variant) => bestRatio(results, variant, 'short50', 'peer', 0.5)),
  B3: (results) => [
    ...['0.5', '0.65', '0.8'].map((load) => bestRatio(results, load, 'p99', 'peer', 0.5)),
    ...['0.5', '0.65', '0.8'].map((load) => ({
      ...({ promise: `B3 ${load}, loads`, bound: 20, better: 'lower', unit: 'per 1,000' } as const),
      ...{ digits: 1, found: results.interval(load, 'ours', 'loadsPer1000').median },
    })),
    {
      ...({ promise: 'B3, mean at 0.85 against that at 0.5', bound: 4, better: 'lower' } as const),
      ...few,
      found:
        results.interval('0.85', 'ours', 'mean').median /
        results.interval('0.5', 'ours', 'mean').median,
    },
  ],
  B4: (results) =>
    ['equal 0.6', 'equal 0.9'].flatMap((variant) => [
      {
        ...{ promise: `B4 ${variant}, cached tokens against pure sticky`, bound: 0.95 },
        ...({ better: 'higher', ...few } as const),
        found: results.ratio(variant, 'cachedShare', 'ours', 'sticky').median,
      },
      {
        ...({ promise: `B4 ${variant}, max / mean work`, bound: 1.3, better: 'lower' } as const),
        ...few,
        found: results.interval(variant, 'ours', 'imbalance').median,
      },
    ]),
  B5: (results) => [
    {
      ...({ promise: 'B5, people in time', bound: 99, better: 'higher', unit: '%' } as const),
      ...{ digits: 1, found: 100 * results.interval('full', 'ours', 'inTime').median },
    },
    {
      ...{ promise: 'B5, batch work against first come first served behind people', bound: 0.9 },
      ...({ better: 'higher', ...few } as const),
      found: results.ratio('full', 'batchDone', 'ours', 'maxconn-class').median,
    },
    {
      ...({ promise: 'B5, Jain over batch tenants', bound: 0.95, better: 'higher' } as const),
      ...{ unit: '', digits: 3, found: results.interval('full', 'ours', 'jain').median },
    },
  ],
  B6: (results) =>
    ['kill', 'frozen', 'failing', 'slow'].flatMap((variant) => [
      {
        ...({ promise: `B6 ${variant}, errors`, bound: 0, better: 'lower', unit: '%' } as const),
        ...{ digits: 2, found: 100 * results.interval(variant, 'ours', 'errors').median },
      },
      {
        ...{ promise: `B6 ${variant}, visits for each request`, bound: 1.2 },
        ...({ better: 'lower', ...few } as const),
        found: results.interval(variant, 'ours', 'visitsEach').median,
      },
    ]),
  B7: (results) => [
    {
      ...{ promise: 'B7, windows in which least_conn is better beyond the interval', bound: 0 },
      ...({ better: 'lower', unit: 'windows', digits: 0 } as const),
      found: windowsLost(results),
    },
  ],
}

function ratio(
  results: Results,
  variant: string,
  figure: string,
  peer: string,
  bound: number,
): Goal {
  return {
    ...{ promise: `${figure} at ${variant} against ${peer}`, bound, better: 'lower', ...few },
    found: results.ratio(variant, figure, 'ours', peer).median,
  }
}

function bestRatio(
  results: Results,
  variant: string,
  figure: string,
  kind: 'peer' | 'weighted',
  bound: number,
): Goal {
  const peer = results.best(variant, figure, kind) ?? ''
  const which = kind === 'peer' ? 'the best peer' : 'the best with ideal weights'
  return {
    ...{ promise: `${figure} at ${variant} against ${which}, ${peer}`, bound, better: 'lower' },
    ...few,
    found: peer === '' ? Number.NaN : results.ratio(variant, figure, 'ours', peer).median,
  }
}

function windowsLost(results: Results): number {
  const [variant] = results.variants()
  if (variant === undefined) return Number.NaN
  let lost = Number.NaN
  for (let window = 0; ; window++) {
    const { low } = results.ratio(variant, `w${window}`, 'ours', 'least')
    if (!Number.isFinite(low)) return lost
    lost = (Number.isNaN(lost) ? 0 : lost) + (low > 1 ? 1 : 0)
  }
}
