import { deafObserver, type Observer } from '../core/observer.ts'

/** One observer that tells several; each hears only what it cares for, and the hot facts cost no loop over the deaf. */
export function severalObservers(listeners: readonly Partial<Observer>[]): Observer {
  const all = deafObserver()
  for (const fact of Object.keys(all) as (keyof Observer)[]) {
    const hearing = listeners.flatMap((listener) => {
      const hear = listener[fact] as ((...told: unknown[]) => void) | undefined
      return hear ? [hear] : []
    })
    if (hearing.length === 0) continue
    Object.assign(all, {
      // No fact has more than four parts; gathering them in a list would cost more than telling.
      [fact]: (a?: unknown, b?: unknown, c?: unknown, d?: unknown) => {
        for (const hear of hearing) hear(a, b, c, d)
      },
    })
  }
  return all
}
