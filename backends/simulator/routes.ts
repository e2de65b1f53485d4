import type { IncomingMessage } from 'node:http'
import { embed, embeddings } from './embedding.ts'
import { type Fields, readStruct } from './go-json.ts'
import type { House } from './inference.ts'
import { ps, show, tags } from './listing.ts'
import { inLayer } from './refusal.ts'
import type { Reply } from './reply.ts'
import { chat, generate } from './routes-native.ts'

/** A request as a route sees it. */
export interface Call {
  readonly req: IncomingMessage
  readonly path: string
  /** What stands in the path where the route has a name. */
  readonly parameter: string
  readonly body: Buffer
}

export type Handler = (house: House, call: Call, reply: Reply) => Promise<void> | void

export interface Route {
  readonly method: string
  /** A path; a last step `:name` takes any text without a slash. */
  readonly path: string
  /** The route also answers HEAD. Ollama has this on a few routes only. */
  readonly head?: boolean
  /** The handler reads the body itself, as it comes. */
  readonly streamsBody?: boolean
  readonly handle: Handler
}

/**
 * The same on a compatible route: a layer in front reads the whole request and says no in its own manner; what it made
 * of the request goes to the handler.
 */
export function withLayer<Request>(
  struct: string,
  read: (fields: Fields, house: House, reply: Reply) => Request,
  handle: (house: House, request: Request, fields: Fields, reply: Reply) => Promise<void>,
): Handler {
  return (house, call, reply) => {
    const fields = inLayer(() => readStruct(call.body, struct, 'EOF'))
    const request = inLayer(() => read(fields, house, reply))
    return handle(house, request, fields, reply)
  }
}

/** A handler that wants its body as a struct. */
export function withStruct(
  struct: string,
  handle: (house: House, fields: Fields, reply: Reply) => Promise<void> | void,
): Handler {
  return (house, call, reply) =>
    handle(house, readStruct(call.body, struct, 'missing request body'), reply)
}

export const nativeRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/',
    head: true,
    handle: (_house, _call, reply) => reply.text(200, 'Ollama is running'),
  },
  {
    method: 'GET',
    path: '/api/version',
    head: true,
    handle: (house, _call, reply) => reply.json(200, { version: house.settings.version }),
  },
  {
    method: 'GET',
    path: '/api/tags',
    head: true,
    handle: (house, _call, reply) => reply.json(200, tags(house)),
  },
  { method: 'GET', path: '/api/ps', handle: (house, _call, reply) => reply.json(200, ps(house)) },
  {
    method: 'POST',
    path: '/api/show',
    handle: withStruct('ShowRequest', (house, fields, reply) =>
      reply.json(200, show(house, fields)),
    ),
  },
  { method: 'POST', path: '/api/generate', handle: withStruct('GenerateRequest', generate) },
  { method: 'POST', path: '/api/chat', handle: withStruct('ChatRequest', chat) },
  { method: 'POST', path: '/api/embed', handle: withStruct('EmbedRequest', embed) },
  { method: 'POST', path: '/api/embeddings', handle: withStruct('EmbeddingRequest', embeddings) },
]
