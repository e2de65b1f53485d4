import type { Backend } from '../core/backend.ts'
import { Late } from '../core/late.ts'
import type { Wire, WireCall } from './wire.ts'

/** A wire that is loaded when something is sent over it for the first time: starting does not wait for its library. */
export function lateWire(load: () => Promise<Wire>): Wire & { prepare(): void } {
  /** Said before there was anybody to hear it. */
  let inService: readonly Backend[] | undefined
  const wire = new Late(async () => {
    const made = await load()
    if (inService) made.keepOnly(inService)
    return made
  })
  return {
    send(backend, request, listener) {
      if (wire.now) return wire.now.send(backend, request, listener)
      let call: WireCall | undefined
      let dropped = false
      wire.get().then(
        (made) => {
          if (!dropped) call = made.send(backend, request, listener)
        },
        (error: Error) => listener.failed(error),
      )
      return {
        pause: () => call?.pause(),
        resume: () => call?.resume(),
        abort() {
          dropped = true
          call?.abort()
        },
      }
    },
    stats: (backend) => wire.now?.stats(backend) ?? { open: 0, idle: 0 },
    keepSpare: (backend, count) => wire.now?.keepSpare(backend, count),
    keepOnly(backends) {
      inService = backends
      wire.now?.keepOnly(backends)
    },
    async close() {
      await (await wire.ended())?.close()
    },
    prepare: () => wire.prepare(),
  }
}
