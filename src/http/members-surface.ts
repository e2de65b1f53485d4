import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Failure } from '../core/failure.ts'
import { signedHeader } from '../guard/signing.ts'
import type { SignedCall } from '../members/join.ts'
import type { SignedAnswer } from '../members/members.ts'
import type { HttpDoors } from './doors.ts'

interface Named {
  readonly Params: { readonly name: string }
}

/** Far more than a report of a thousand models needs. */
const bodyBytesMax = 65_536

/** What agents call. Their signature is their credential, so the body is taken as the bytes that were signed. */
export function membersSurface(fastify: FastifyInstance, doors: HttpDoors): void {
  const { members } = doors
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: bodyBytesMax },
    (_request, body, done) => done(null, body),
  )
  fastify.setErrorHandler((error) => {
    const { statusCode } = error as { statusCode?: number }
    if (statusCode === 413 && !(error instanceof Failure))
      throw new Failure('body_too_large', 'what an agent sends has at most 64 KiB')
    throw error
  })

  fastify.post('/api/workers', async (request, reply) => {
    const joined = await members.join(callIn(request))
    return answer(reply, joined)
  })
  fastify.post<Named>('/api/workers/:name/heartbeat', (request, reply) =>
    answer(reply, members.heartbeat(request.params.name, callIn(request))),
  )
  fastify.post<Named>('/api/workers/:name/leave', (request, reply) =>
    answer(reply, members.leave(request.params.name, callIn(request))),
  )
}

function callIn({ method, raw, headers, body, socket }: FastifyRequest): SignedCall {
  const signed = headers[signedHeader]
  return {
    method,
    path: raw.url ?? '',
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
    header: typeof signed === 'string' ? signed : undefined,
    peer: socket.remoteAddress ?? '',
  }
}

function answer(reply: FastifyReply, { text, signed }: SignedAnswer): string {
  reply.header('content-type', 'application/json; charset=utf-8').header(signedHeader, signed)
  return text
}
