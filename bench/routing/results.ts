import { median } from '../lib/stats.ts'
import type { Played } from './cell.ts'
import { type Interval, intervalOf } from './interval.ts'
import { catalogue, type Kind } from './policies/catalogue.ts'

/** All runs of one scenario, to be asked. */
export class Results {
  readonly #played: readonly Played[]

  constructor(played: readonly Played[]) {
    this.#played = played
  }

  variants(): string[] {
    return [...new Set(this.#played.map(({ variant }) => variant))]
  }

  policies(variant: string): string[] {
    const words = this.#played.filter((each) => each.variant === variant).map((each) => each.policy)
    return [...new Set(words)]
  }

  /** One for each seed, in their order. */
  values(variant: string, policy: string, figure: string): number[] {
    return this.#played
      .filter((each) => each.variant === variant && each.policy === policy)
      .sort((one, other) => one.seed - other.seed)
      .map(({ figures }) => figures[figure] ?? Number.NaN)
  }

  interval(variant: string, policy: string, figure: string): Interval {
    return intervalOf(this.values(variant, policy, figure))
  }

  /** Seed by seed, since all policies see the same trace with one seed. */
  ratio(variant: string, figure: string, policy: string, other: string): Interval {
    const others = this.values(variant, other, figure)
    return intervalOf(
      this.values(variant, policy, figure).map((value, index) => value / others[index]!),
    )
  }

  /** The one of that kind with the best median. */
  best(
    variant: string,
    figure: string,
    kind: Kind,
    better: 'lower' | 'higher' = 'lower',
  ): string | undefined {
    const sign = better === 'lower' ? 1 : -1
    return this.policies(variant)
      .filter((policy) => catalogue[policy]!.kind === kind)
      .map((policy) => ({ policy, value: sign * median(this.values(variant, policy, figure)) }))
      .filter(({ value }) => Number.isFinite(value))
      .sort((one, other) => one.value - other.value)[0]?.policy
  }

  /** How much of the way from the best peer to the bound was covered, seed by seed, as a share. */
  gapClosed(variant: string, figure: string, better: 'lower' | 'higher'): Interval | undefined {
    const peer = this.best(variant, figure, 'peer', better)
    const hasBound = this.policies(variant).includes('clairvoyant')
    if (peer === undefined || !hasBound) return undefined
    const bounds = this.values(variant, 'clairvoyant', figure)
    const peers = this.values(variant, peer, figure)
    const sign = better === 'lower' ? 1 : -1
    // Where the clairvoyant is not better than the peer there is no way to go.
    const shares = this.values(variant, 'ours', figure).flatMap((value, index) => {
      const way = peers[index]! - bounds[index]!
      return sign * way > 0 ? [(peers[index]! - value) / way] : []
    })
    return intervalOf(shares)
  }
}
