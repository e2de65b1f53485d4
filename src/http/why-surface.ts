import type { FastifyInstance } from 'fastify'
import { Failure } from '../core/failure.ts'
import { readModelName } from '../core/model-name.ts'
import type { Why } from '../proxy/why.ts'

/** Prompts that somebody imagines: more tokens than any context has. */
const tokensMax = 10_000_000
const tokensUsual = 500

interface Named {
  readonly Params: { readonly id: string }
}

interface Imagined {
  readonly Querystring: { readonly model?: string; readonly tokens?: string }
}

/** Why a request went where it went, and where one would go now. For everybody to read, like the state of the queue. */
export function whySurface(fastify: FastifyInstance, why: Why): void {
  fastify.get<Named>('/api/distributed/decisions/:id', ({ params: { id } }) => {
    const decisions = why.decisionsOf(id)
    if (decisions.length === 0)
      throw new Failure('decision_unknown', `nothing is kept about a request "${id}"`)
    return { id, decisions }
  })

  fastify.get<Imagined>('/api/distributed/route', ({ query: { model, tokens } }) => {
    const name = readModelName(model ?? '')
    if (!name || model === '')
      throw new Failure('request_invalid', 'the query must name a model: ?model=NAME')
    const promptTokens = tokens === undefined ? tokensUsual : Number(tokens)
    if (!Number.isInteger(promptTokens) || promptTokens < 0 || promptTokens > tokensMax)
      throw new Failure('request_invalid', 'tokens must be a whole number')
    return why.wouldDo({ model: name.canonical, cloud: name.cloud, promptTokens })
  })
}
