import type { Ask } from '../core/ask.ts'
import { Failure } from '../core/failure.ts'
import { readAsk } from './ask.ts'
import { findRoute, type Route } from './routes.ts'
import { scanBody } from './scan.ts'

/** What a request asks that we have written ourselves, for one of Ollama's paths. Throws a Failure where Ollama would refuse it. */
export function ownAsk(path: string, body: Buffer): { readonly route: Route; readonly ask: Ask } {
  const route = ownRoute(path)
  const read = readAsk(route, scanBody(body))
  if (!read.ok) throw new Failure('request_invalid', read.message)
  return { route, ask: read.ask }
}

export function ownRoute(path: string): Route {
  const found = findRoute('POST', path)
  if (found.kind !== 'route') throw new Failure('internal', `the route table has lost ${path}`)
  return found.route
}
