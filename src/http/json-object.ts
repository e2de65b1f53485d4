import { Failure } from '../core/failure.ts'

/** A body of ours, read: an object in JSON. Throws a Failure that says what else it is. */
export function jsonObject(body: Buffer): Readonly<Record<string, unknown>> {
  if (body.length === 0) throw new Failure('body_empty', 'the body is empty')
  let given: unknown
  try {
    given = JSON.parse(body.toString('utf8'))
  } catch (error) {
    const why = error instanceof Error ? `: ${error.message}` : ''
    throw new Failure('body_not_json', `the body is not JSON${why}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Failure('body_not_json', 'the body is JSON, but not an object')
  return given as Readonly<Record<string, unknown>>
}
