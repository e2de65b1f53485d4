import type { FastifyReply, FastifyRequest } from 'fastify'
import { Failure } from '../core/failure.ts'
import { errorAnswer } from '../dialects/errors.ts'
import { mayChangeFleet } from '../guard/admin.ts'
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

export function requireAdmin(request: FastifyRequest, { settings }: HttpDoors): void {
  const ask = {
    peerAddress: request.socket.remoteAddress,
    headers: request.headers,
    token: settings.adminToken,
  }
  if (!mayChangeFleet(ask)) throw new Failure('admin_only', 'this is for the operator of the fleet')
}
