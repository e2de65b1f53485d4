import type { Machine } from './machine.ts'

/**
 * Equal parts dealt round robin, as the first form of this program did it: part i belongs to backend i mod n, each
 * backend has its own queue and works it off in order, and what fails goes to the next one's queue. Sent straight to
 * the backends, so nothing stands in its way.
 */
export async function dealOut(
  machines: readonly Machine[],
  parts: readonly unknown[],
  path: string,
): Promise<void> {
  const queues = machines.map((_, own) =>
    parts.flatMap((part, index) =>
      index % machines.length === own ? [{ part, failures: 0 }] : [],
    ),
  )
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const isBusy = machines.map(() => false)
  let open = parts.length

  const workOff = async (own: number): Promise<void> => {
    if (isBusy[own]) return
    isBusy[own] = true
    for (let job = queues[own]!.shift(); job; job = queues[own]!.shift()) {
      const reply = await machines[own]!.caller.post(path, job.part).catch(() => undefined)
      if (reply?.status === 200) {
        if (--open === 0) resolve()
        continue
      }
      if (++job.failures >= machines.length)
        reject(new Error(`a part failed at all ${machines.length} machines`))
      const next = (own + 1) % machines.length
      queues[next]!.push(job)
      void workOff(next)
    }
    isBusy[own] = false
  }
  for (const own of machines.keys()) void workOff(own)
  await promise
}
