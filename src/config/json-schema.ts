import { z } from 'zod'
import { configSchema } from './schema.ts'

/** For editors: completes and checks the file while it is written. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-7',
    reused: 'inline',
    override: ({ jsonSchema, path }) => {
      // A key with nothing behind it counts as left out: a section whose lines are all comments, or a text without a default.
      const isTopKey = path.length === 2 && path[0] === 'properties'
      const { type } = jsonSchema
      if (
        isTopKey &&
        (type === 'object' || (type === 'string' && jsonSchema.default === undefined))
      )
        Object.assign(jsonSchema, { type: [type, 'null'] })
    },
  })
  return { ...schema, title: 'Chasqui configuration' }
}
