/**
 * What is believed of one model at one endpoint. Seconds everywhere: costs are only comparable in one unit.
 * With `n` streams at the endpoint a token takes `decodeS * (1 + decodeSlope * (n - 1))` seconds, and a token of the
 * prompt `prefillS * (1 + prefillSlope * (n - 1))`.
 */
export interface Rates {
  /** Seconds for one token of the prompt, alone. */
  prefillS: number
  prefillSlope: number
  /** Seconds for one token of the answer, alone. */
  decodeS: number
  decodeSlope: number
  /** Seconds that a load takes; 0 where the model is there. */
  loadS: number
  /** Standard errors of `prefillS` and `decodeS`, as shares: what two machines differ by may be chance. */
  prefillError: number
  decodeError: number
  /** Samples behind it; 0: a guess from other pairs. */
  samples: number
}

export function blankRates(): Rates {
  return {
    prefillS: 0,
    prefillSlope: 0,
    decodeS: 0,
    decodeSlope: 0,
    loadS: 0,
    prefillError: 0,
    decodeError: 0,
    samples: 0,
  }
}

/** Seconds for one token of the answer with so many streams at the endpoint. */
export function decodeSAt(rates: Rates, streams: number): number {
  return rates.decodeS * (1 + rates.decodeSlope * Math.max(0, streams - 1))
}

/** Seconds for one token of the prompt with so many streams at the endpoint. */
export function prefillSAt(rates: Rates, streams: number): number {
  return rates.prefillS * (1 + rates.prefillSlope * Math.max(0, streams - 1))
}
