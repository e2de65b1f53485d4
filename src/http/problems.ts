import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Failure } from '../core/failure.ts'
import { errorAnswer } from '../dialects/errors.ts'
import { mayChangeFleet } from '../guard/admin.ts'
import { tooLarge } from '../proxy/body.ts'
import type { HttpDoors } from './doors.ts'

/** On our own paths an error is a problem document (RFC 9457) with a stable code and what to do. */
export function sendFailure(reply: FastifyReply, failure: Failure): void {
  const answer = errorAnswer('own', failure.status, failure.message, {
    code: failure.code,
    requestId: String(reply.request.id),
  })
  if (failure.retryAfterS !== undefined) reply.header('retry-after', failure.retryAfterS)
  reply.code(answer.status).header('content-type', answer.contentType).send(answer.body)
}

/** What the framework itself refuses: a path that can not be decoded, a body of a type that nobody reads. */
export function sendBadRequest(error: Error, request: FastifyRequest, reply: FastifyReply): void {
  reply.header('x-request-id', request.id)
  sendFailure(reply, new Failure('request_invalid', error.message))
}

export function requireAdmin(request: FastifyRequest, { settings }: HttpDoors): void {
  const ask = {
    peerAddress: request.socket.remoteAddress,
    headers: request.headers,
    token: settings.adminToken,
  }
  if (!mayChangeFleet(ask)) throw new Failure('admin_only', 'this is for the operator of the fleet')
}

/** The same errors, in the same words, from every Fastify of ours. */
export function shareErrors(app: FastifyInstance, doors: HttpDoors): void {
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof Failure) return sendFailure(reply, error)
    const { statusCode = 500 } = error as { statusCode?: number }
    if (statusCode === 413) return sendFailure(reply, tooLarge(doors.settings.limits.bodyBytesMax))
    if (statusCode >= 400 && statusCode < 500) return sendBadRequest(error as Error, request, reply)
    doors.observer.noticed('a request failed inside the proxy', {
      id: String(request.id),
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    })
    return sendFailure(reply, new Failure('internal', 'something went wrong inside the proxy'))
  })
  app.setNotFoundHandler((request, reply) => {
    sendFailure(
      reply,
      new Failure('not_found', `${request.method} ${request.url.split('?')[0]} is not there`),
    )
  })
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
  })
}
