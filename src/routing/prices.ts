/**
 * What counts beside the time until a request's own end, and how much. All of them turn something into seconds; the
 * study (`npm run bench routing`) measures each one, and one that changes nothing goes.
 */
export interface Prices {
  /** Of a second that the fleet loses when a model is pushed out of memory. */
  readonly eviction: number
  /** Of a second of work that waits: added to waiting for a busy seat while another stands idle. */
  readonly congestion: number
  /** Of a second of doubt, for a request with all the time in the world … */
  readonly risk: number
  /** … and for one that has a deadline. */
  readonly riskWithDeadline: number
  /** Costs are equal when they differ by less than this share … */
  readonly tieShare: number
  /** … or by less than this. */
  readonly tieS: number
  /** Between two machines on which nothing runs, or by more where measuring is not so fine: nobody waits for it. */
  readonly tieShareIdle: number
  /** How likely a seat beyond the known ones is thought not to exist. */
  readonly tryDoubt: number
  /** How often something that is known badly is looked at again, where that costs little. */
  readonly exploring: number
}

export const usualPrices: Prices = {
  eviction: 4,
  congestion: 2,
  risk: 0,
  riskWithDeadline: 1,
  tieShare: 0.03,
  tieS: 0.02,
  tieShareIdle: 0.15,
  tryDoubt: 0.5,
  exploring: 0.01,
}
