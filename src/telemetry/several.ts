import { deafObserver, type Observer } from '../core/observer.ts'

/** One observer that tells several; each hears only what it cares for, and the hot facts cost no loop over the deaf. */
export function severalObservers(listeners: readonly Partial<Observer>[]): Observer {
  const all = deafObserver()
  for (const fact of Object.keys(all) as (keyof Observer)[]) {
    const hearing = listeners.flatMap((listener) => {
      const hear = listener[fact] as Hear | undefined
      return hear ? [hear] : []
    })
    if (hearing.length > 0) Object.assign(all, { [fact]: tellAll(hearing) })
  }
  return all
}

type Hear = (...told: unknown[]) => void

/** No fact has more than four parts; gathering them in a list would cost more than telling. */
function tellAll(hearing: readonly Hear[]): Hear {
  const [first, second] = hearing
  if (first && second && hearing.length === 2)
    return (a, b, c, d) => {
      first(a, b, c, d)
      second(a, b, c, d)
    }
  if (first && hearing.length === 1) return first
  return (a, b, c, d) => {
    for (const hear of hearing) hear(a, b, c, d)
  }
}
