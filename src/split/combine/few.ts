/** Lists in a report are read by people; who wants all of them has the answers themselves. */
const fewMax = 20

/** The first of many, and how many more there were. */
export class Few<Item> {
  readonly first: Item[] = []
  more = 0

  add(item: Item): void {
    if (this.first.length < fewMax) this.first.push(item)
    else this.more++
  }

  /** As entries of a report under this name; none at all when there is nothing to tell. */
  noted(name: string): Record<string, unknown> {
    if (this.first.length === 0) return {}
    return this.more === 0
      ? { [name]: this.first }
      : { [name]: this.first, [`${name}_more`]: this.more }
  }
}
