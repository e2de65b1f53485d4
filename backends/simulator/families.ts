import { randomBytes } from 'node:crypto'
import { toGoJson } from './go-json.ts'
import type { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'

/** A refusal in the shape, with the type and in the framing that the clients of a path expect. */
export function refuse(reply: Reply, path: string, refusal: Refusal): void {
  const { status, message, from } = refusal
  reply.keepStreamHeaders()
  const say = (value: unknown, newline: boolean) => {
    const text = newline ? `${toGoJson(value)}\n` : toGoJson(value)
    if (from === 'stream') reply.sendChunked(status, 'application/json', text)
    else if (from === 'layer' || !newline) reply.json(status, value)
    else reply.jsonLine(status, value)
  }
  // Cloud errors are made in front of the compatible layers and keep Ollama's own shape everywhere.
  const cloud = refusal.more['signin_url'] !== undefined || /ollama cloud/.test(message)
  if (cloud || !path.startsWith('/v1/')) {
    say({ error: message, ...refusal.more }, false)
  } else if (path.startsWith('/v1/messages')) {
    say(
      {
        type: 'error',
        error: { type: anthropicType(status), message },
        request_id: `req_${randomBytes(12).toString('hex')}`,
      },
      true,
    )
  } else {
    say({ error: { message, type: openaiType(status), param: null, code: null } }, true)
  }
}

function openaiType(status: number): string {
  if (status === 400) return 'invalid_request_error'
  return status === 404 ? 'not_found_error' : 'api_error'
}

function anthropicType(status: number): string {
  const types: Record<number, string> = {
    400: 'invalid_request_error',
    401: 'authentication_error',
    403: 'permission_error',
    404: 'not_found_error',
    429: 'rate_limit_error',
    503: 'overloaded_error',
    529: 'overloaded_error',
  }
  return types[status] ?? 'api_error'
}
