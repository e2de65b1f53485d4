/**
 * What counts beside the time until a request's own end, and how much. All of them turn something into seconds; the
 * study (`npm run bench routing`) measures each one, and one that changes nothing goes.
 */
export interface Prices {
  /** Of a second that the fleet loses when a model is pushed out of memory. */
  readonly eviction: number
  /** Of a second of work that waits: added to waiting for a busy seat while another stands idle. */
  readonly congestion: number
  /**
   * Of a second of reading that a cache saves, beyond that second: a prompt that is read anew elsewhere pushes others'
   * out of the cache there, and slows those who write.
   */
  readonly cache: number
  /** Costs are equal when they differ by less than this share … */
  readonly tieShare: number
  /** … or by less than a moment without the processor, which makes one of two twins look slower. */
  readonly tieS: number
  /** … which is no more than this share of the request itself: whoever takes half as long again is no twin. */
  readonly tieMomentShare: number
  /** Between two machines on which nothing runs, or by more where measuring is not so fine: nobody waits for it. */
  readonly tieShareIdle: number
  /** How likely a seat beyond the known ones is thought not to exist. */
  readonly tryDoubt: number
}

export const usualPrices: Prices = {
  eviction: 3,
  congestion: 2,
  cache: 1,
  tieShare: 0.03,
  tieS: 0.02,
  tieMomentShare: 0.5,
  tieShareIdle: 0.15,
  tryDoubt: 0.5,
}
