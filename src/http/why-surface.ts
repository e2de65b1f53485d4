import type { FastifyInstance } from 'fastify'
import { Failure } from '../core/failure.ts'
import { readModelName } from '../core/model-name.ts'
import type { Imagined } from '../proxy/imagined.ts'
import type { Why } from '../proxy/why.ts'

/** Prompts that somebody imagines: more tokens than any context has. */
const tokensMax = 10_000_000
const tokensUsual = 500
/** No sign, no point and no other way of writing; so many digits as the largest has. */
const wholeNumber = /^\d{1,8}$/

interface Named {
  readonly Params: { readonly id: string }
}

/** What comes twice comes as a list. */
type Said = string | readonly string[] | undefined

interface Asked {
  readonly Querystring: { readonly model?: Said; readonly tokens?: Said }
}

/** Why a request went where it went, and where one would go now. For everybody to read, like the state of the queue. */
export function whySurface(fastify: FastifyInstance, why: Why): void {
  fastify.get<Named>('/api/distributed/decisions/:id', ({ params: { id } }) => {
    const known = why.request(id)
    if (!known) throw new Failure('decision_unknown', `nothing is kept about a request "${id}"`)
    return { id, ...known }
  })

  fastify.get<Asked>('/api/distributed/route', ({ query }) => why.wouldDo(imaginedIn(query)))
}

/** The request that a query describes; throws a Failure that names what is wrong with it. */
function imaginedIn({ model, tokens }: Asked['Querystring']): Imagined {
  if (typeof model !== 'string' || model === '')
    throw new Failure('request_invalid', 'the query must name one model: ?model=NAME')
  const name = readModelName(model)
  // Requests for it are refused before anybody is asked where they should go.
  if (!name) throw new Failure('request_invalid', `"${model}" is an invalid model name`)
  return { text: model, name, promptTokens: tokens === undefined ? tokensUsual : tokensIn(tokens) }
}

function tokensIn(said: string | readonly string[]): number {
  const tokens = typeof said === 'string' && wholeNumber.test(said) ? Number(said) : Number.NaN
  if (tokens <= tokensMax) return tokens
  throw new Failure(
    'request_invalid',
    `tokens must be one whole number up to ${tokensMax}: &tokens=${tokensUsual}`,
  )
}
