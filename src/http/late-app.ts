import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { Late, type Preparable } from '../core/late.ts'
import type { HttpDoors } from './doors.ts'
import { requestIdOf } from './request-id.ts'

/** A Fastify that is made with the first request for it: starting does not wait for a framework. */
export interface LateApp extends Preparable {
  handle(request: IncomingMessage, response: ServerResponse): void
  close(): Promise<void>
}

export function lateApp(
  doors: HttpDoors,
  furnish: (app: FastifyInstance) => Promise<void>,
): LateApp {
  const app = new Late(() => createApp(doors, furnish))
  return {
    handle(request, response) {
      app.get().then(
        (ready) => ready.routing(request, response),
        (error: unknown) => {
          doors.observer.noticed('the administration could not be started', {
            error: error instanceof Error ? error.message : String(error),
          })
          response.writeHead(500).end()
        },
      )
    },
    prepare: () => app.prepare(),
    async close() {
      await (await app.ended())?.close()
    },
  }
}

async function createApp(
  doors: HttpDoors,
  furnish: (app: FastifyInstance) => Promise<void>,
): Promise<FastifyInstance> {
  const [{ default: fastify }, { sendBadRequest, shareErrors }] = await Promise.all([
    import('fastify'),
    import('./problems.ts'),
  ])
  const app = fastify({
    logger: false,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    bodyLimit: doors.settings.limits.bodyBytesMax,
    frameworkErrors: sendBadRequest,
  })
  shareErrors(app, doors)
  await furnish(app)
  await app.ready()
  return app
}
