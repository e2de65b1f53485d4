import { z } from 'zod'
import { canonicalName, readModelName } from '../core/model-name.ts'
import { readBackendUrl } from './backend-url.ts'
import { report } from './fault.ts'
import { list, positiveNumber, size, text, wholeNumber, yesNo } from './kinds.ts'
import { backendModels } from './placement-schema.ts'
import { complainOfTwins } from './twins.ts'

/** Beyond any server that exists; a typing error should not open the gates. */
export const slotsMax = 10_000
export const namePattern = /^[a-z0-9][a-z0-9_.-]{0,63}$/

/** Headers that belong to the connection or to the message: set by us for every request. */
const ourHeaders = new Set(
  'connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
)
export const headerNamePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

const backendUrl = z
  .string({
    error: (issue) =>
      issue.input === undefined
        ? 'is missing; it must be a URL such as http://192.168.1.20:11434'
        : 'must be a URL such as http://192.168.1.20:11434',
  })
  .transform((words, context) => {
    const read = readBackendUrl(words)
    return 'message' in read ? report(context, read) : read
  })

const slots = z.union(
  [
    wholeNumber(1, slotsMax),
    z
      .record(
        z.string().refine((model) => readModelName(model), { error: 'is no model name' }),
        wholeNumber(1, slotsMax),
      )
      .superRefine((byModel, context) => {
        complainOfTwins(byModel, canonicalName, context)
      }),
  ],
  { error: `must be a whole number from 1 to ${slotsMax}, or a map from model to such a number` },
)

const headerName = z
  .string()
  .regex(headerNamePattern, { error: 'is no header name' })
  .refine((name) => !ourHeaders.has(name.toLowerCase()), { error: 'is set by the proxy itself' })

const headerValue = z
  .string({ error: 'must be text; a number needs quotes' })
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: 'must be one line of text' })

const headers = z
  .record(headerName, headerValue, { error: 'must be a map from header name to value' })
  .superRefine((byName, context) => {
    complainOfTwins(byName, (name) => name.toLowerCase(), context)
  })

export const backendSchema = z.strictObject(
  {
    url: backendUrl.describe(
      'Where it listens: scheme, host and port; a path is kept, a name and password become a login.',
    ),
    name: text('a name of a-z, 0-9, - _ and . with up to 64 signs', namePattern)
      .optional()
      .describe('The word for it in logs, metrics and headers; unique; host and port unless set.'),
    slots: slots
      .optional()
      .describe(
        'Requests at once for a model: one number, or a map from model to number; learnt unless set.',
      ),
    slots_total: wholeNumber(1, slotsMax)
      .optional()
      .describe('Requests at once over all its models; no limit unless set.'),
    weight: positiveNumber(1_000_000)
      .prefault(1)
      .describe('Its share of the requests under the weighted picker.'),
    labels: list(text('a word', /^\S{1,64}$/), 'a word')
      .prefault([])
      .describe('Words that describe it.'),
    headers: headers
      .prefault({})
      .describe('Sent with every request to it, for servers behind a login; secret.'),
    memory: size()
      .optional()
      .describe('Memory for models, which manage.pull: fit compares with; unknown unless set.'),
    context: wholeNumber(1, 100_000_000)
      .optional()
      .describe('Tokens of context it gives a model that is not loaded yet; 4096 unless set.'),
    insecure: yesNo()
      .prefault(false)
      .describe(
        'For https: its certificate is not checked, so whoever is in between can read and answer.',
      ),
    models: backendModels.describe('What it may serve, by name; * stands for any text.'),
  },
  {
    error: (issue) =>
      issue.code === 'invalid_type' ? 'must be a backend: a map with at least a url' : undefined,
  },
)

export type CheckedBackend = z.output<typeof backendSchema>
