import type { Wire, WireCall } from './wire.ts'

/** A wire that is loaded when something is sent over it for the first time: starting does not wait for its library. */
export function lateWire(load: () => Promise<Wire>): Wire & { prepare(): void } {
  let wire: Wire | undefined
  let loading: Promise<Wire> | undefined
  const loaded = () => {
    loading ??= load().then((made) => {
      wire = made
      return made
    })
    return loading
  }
  return {
    send(backend, request, listener) {
      if (wire) return wire.send(backend, request, listener)
      let call: WireCall | undefined
      let dropped = false
      loaded().then(
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
    stats: (backend) => wire?.stats(backend) ?? { open: 0, idle: 0 },
    keepOnly: (backends) => wire?.keepOnly(backends),
    async close() {
      const made = await loading?.catch(() => undefined)
      await made?.close()
    },
    prepare() {
      loaded().catch(() => {}) // said to whoever sends something
    },
  }
}
