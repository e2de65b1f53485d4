import { runInNewContext } from 'node:vm'
import type { Ajv, ErrorObject, Options, ValidateFunction } from 'ajv'
import { CannotCombine } from './combiner.ts'
import { oneLine } from './part-name.ts'

/**
 * How long a schema may be compiled, and a value checked. Both stop everything else that this process does, and a client
 * can write a pattern that takes for ever. An honest schema takes some 100 ms the first time, 30 MiB of answers 20 ms.
 */
const checkMsMax = 2_000

/** Each fault of a large value is an object of its own; beyond this size only the first is looked for. */
const allFaultsCharsMax = 1024 * 1024

/** The first faults show what went wrong; the hundredth is the same fault in another line. */
const faultsShownMax = 5

/** The schema itself is not one; the message says where. */
export class BadSchema extends Error {}

export interface SchemaCheck {
  /**
   * What is wrong with a value, by path, at most five; `chars`: how long its text is. Throws CannotCombine when it takes
   * too long.
   */
  check(value: unknown, chars: number): readonly string[]
}

/**
 * Compiles a client's JSON schema; throws BadSchema. It is read as of 2020-12, and where it is not valid there, as of
 * draft 7, in which a list of items is still written as `items`. `format` is not looked at: what answers are made of was
 * held to it by the backend or not at all.
 */
export async function compileSchema(schema: object): Promise<SchemaCheck> {
  const [{ Ajv2020 }, { Ajv }] = await Promise.all([import('ajv/dist/2020.js'), import('ajv')])
  const dialects = [Ajv2020, Ajv] as const
  const bare = withoutLabels(schema)
  const compile = (allErrors: boolean): ValidateFunction => {
    let first: unknown
    // Some patterns are regular expressions only in the old, looser way of writing them.
    for (const unicodeRegExp of [true, false])
      for (const Dialect of dialects)
        try {
          return compiled(new Dialect({ ...leniently, allErrors, unicodeRegExp }), bare)
        } catch (error) {
          if (tookTooLong(error)) throw new BadSchema(`it takes more than ${checkMsMax} ms to read`)
          first ??= error
        }
    throw new BadSchema(oneLine(first instanceof Error ? first.message : String(first), 300))
  }
  const quick = compile(false)
  return {
    check(value, chars) {
      try {
        if (within(checkMsMax, () => quick(value))) return []
        if (chars > allFaultsCharsMax) return sayFaults(quick.errors)
        const thorough = compile(true)
        within(checkMsMax, () => thorough(value))
        return sayFaults(thorough.errors)
      } catch (error) {
        if (!tookTooLong(error)) throw error
        throw new CannotCombine(
          `checking the combined answer against the schema takes more than ${checkMsMax} ms`,
        )
      }
    },
  }
}

/** Unknown keywords and formats pass: the schema was written for a backend, and it is the answer that is judged. */
const leniently: Options = {
  strict: false,
  validateFormats: false,
  logger: false,
  // Without it a required `constructor` would be found in every object.
  ownProperties: true,
  // Copies of a schema that is referred to everywhere could grow without end.
  inlineRefs: false,
}

function compiled(ajv: Ajv, schema: object): ValidateFunction {
  return within(checkMsMax, () => ajv.compile(schema))
}

/** `$schema` may name a dialect that is not at hand, and with `$async` a check would end later, unobserved. */
function withoutLabels(schema: object): object {
  const { $schema, $async, ...rest } = schema as Record<string, unknown>
  return rest
}

/** Runs something that never waits, and ends it when it takes too long: also in the middle of a regular expression. */
function within<Result>(limitMs: number, work: () => Result): Result {
  return runInNewContext('work()', { work }, { timeout: limitMs }) as Result
}

/** Not asked whether it is an Error: it may be one of the context that was made for the call. */
function tookTooLong(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  )
}

function sayFaults(errors: readonly ErrorObject[] | null | undefined): string[] {
  return (errors ?? []).slice(0, faultsShownMax).map(({ instancePath, message, params }) => {
    const key: unknown = params['additionalProperty'] ?? params['unevaluatedProperty']
    const which = typeof key === 'string' ? ` (${oneLine(key, 80)})` : ''
    const where = instancePath === '' ? 'the whole' : oneLine(instancePath, 200)
    return `${where} ${message ?? 'is not as it must be'}${which}`
  })
}
