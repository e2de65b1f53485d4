import type { App } from '../app.ts'
import type { ListenAddress } from '../core/settings.ts'

/** The variable by which a supervisor tells a server of its own what there is for it. */
export const workerVariable = 'CHASQUI_WORKER'
/** Behind stdin, stdout, stderr and the channel. */
export const socketFd = 4

/** What a successor is given: where the socket is bound. For the first server nothing is bound yet. */
export interface Inheritance {
  readonly listen?: ListenAddress
  /** Backends that are ready for the one that serves; absent: nobody serves, and who connects waits for this one. */
  readonly otherFinds?: readonly string[]
}

/** What a server says to its supervisor; the socket goes with the first one. */
export interface ReadyMessage {
  readonly chasqui: 'ready'
  readonly url: string
  readonly listen: ListenAddress
}

/** What it says when it is asked which backends are ready. */
export interface FindsMessage {
  readonly chasqui: 'finds'
  readonly ready: readonly string[]
}

/** What it hears. */
export interface Order {
  readonly chasqui: 'leave' | 'finds?'
}

/** This server's end of the line to a supervisor. */
export interface UnderSupervisor {
  /** Undefined: it binds a socket of its own, and hands it over. */
  readonly listen: ListenAddress | undefined
  readonly otherFinds: readonly string[] | undefined
  /** Another one serves now, or the supervisor is gone: then nobody would end us, and the port must come free. */
  readonly left: Promise<'replaced' | 'orphaned'>
  ready(app: App): void
}

export function underSupervisor(env: NodeJS.ProcessEnv): UnderSupervisor | undefined {
  const given = env[workerVariable]
  if (given === undefined || process.send === undefined) return undefined
  const { listen, otherFinds } = JSON.parse(given) as Inheritance
  const left = new Promise<'replaced' | 'orphaned'>((resolve) => {
    process.on('message', (message: Partial<Order>) => {
      if (message.chasqui === 'leave') resolve('replaced')
    })
    process.once('disconnect', () => resolve('orphaned'))
  })
  return {
    listen,
    otherFinds,
    left,
    ready(app) {
      process.on('message', (order: Partial<Order>) => {
        if (order.chasqui !== 'finds?') return
        const ready = app.pool.endpoints.filter((each) => each.ready).map(({ name }) => name)
        process.send?.({ chasqui: 'finds', ready } satisfies FindsMessage)
      })
      const { host } = app.settings.listen
      const message: ReadyMessage = {
        chasqui: 'ready',
        url: app.url,
        listen: { host, port: app.port },
      }
      // The bare handle: a server that is received would begin to accept there.
      process.send?.(message, listen === undefined ? (app.handle as never) : undefined)
    },
  }
}
