import type { FastifyReply } from 'fastify'
import type { Reloaded } from '../config/in-force.ts'
import { Failure } from '../core/failure.ts'
import { problemDocument } from '../dialects/errors.ts'

/** The answer to a reload: what changed; or everything that is wrong, for programs and as people read it. */
export function sendReloaded(reply: FastifyReply, reloaded: Reloaded): unknown {
  if (reloaded.result !== 'refused') {
    const { result, changes, needsRestart } = reloaded
    return { result, changes, needs_restart: needsRestart }
  }
  const { problems, report } = reloaded
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  const failure = new Failure('config_invalid', `${count}; nothing was changed`)
  const { code, status, message } = failure
  const document = problemDocument(status, message, { code, requestId: String(reply.request.id) })
  reply.code(status).header('content-type', 'application/problem+json')
  return { ...document, problems, report }
}
