import { z } from 'zod'
import { canonicalName, readModelName } from '../core/model-name.ts'
import { choice, duration, list, text, wholeNumber, yesNo } from './kinds.ts'
import { complainOfTwins } from './twins.ts'

/** Rules are read one after another for each request; more of them nobody keeps in mind. */
const rulesMax = 200
/** Each is looked up at every list of models. */
const namesMax = 1_000

const pattern = () => text('a text of up to 256 signs, * for any text', /^\S[^\n]{0,255}$/)
const patterns = () => list(pattern(), 'a text, * for any text')
/** A backend's name, one of its labels, or `label:` and a label that a backend may have which is not here yet. */
const place = () => text('the name of a backend or a label', /^\S{1,72}$/)
const places = () => list(place(), 'the name of a backend or a label')
const model = () =>
  text('a model name such as qwen3:14b', /^\S{1,400}$/).refine((name) => readModelName(name), {
    error: 'must be a model name such as qwen3:14b',
  })

const isMap = (sentence: string) => ({
  error: (issue: { readonly code?: string | undefined }) =>
    issue.code === 'invalid_type' ? sentence : undefined,
})

const when = z.strictObject(
  {
    tenant: patterns().optional().describe('Who asks, as the log names it; * stands for any text.'),
    user: patterns().optional().describe('The user whom a trusted address names.'),
    model: patterns().optional().describe('The model, by its name or an alias.'),
    work: patterns().optional().describe('X-Chasqui-Work, or chat, generate, embed.'),
    labels: list(text('a word', /^\S{1,64}$/), 'a word')
      .optional()
      .describe('Labels in X-Chasqui-Labels, all of them.'),
    prompt_tokens_max: wholeNumber(1, 100_000_000)
      .optional()
      .describe('The prompt has no more tokens than this, as far as its bytes tell.'),
    tools: yesNo().optional().describe('With tools, or without.'),
    images: yesNo().optional().describe('With pictures or sound, or without.'),
  },
  isMap('must be a map of conditions, such as {tenant: "user:*"}'),
)

const rule = z
  .strictObject(
    {
      when: when.prefault({}).describe('For which requests; all that is given must match.'),
      only: places().optional().describe('Only these backends, by name or label.'),
      never: places().optional().describe('Never these.'),
      prefer: z
        .record(place(), duration(), {
          error: 'must be a map from backend or label to a duration, such as {gpu-a: 2s}',
        })
        .optional()
        .describe('Rather these, as long as it takes no longer than so much.'),
      priority: choice('interactive', 'normal', 'batch')
        .optional()
        .describe('The priority of those that name none.'),
      use_model: model().optional().describe('This model answers; the answer says so.'),
    },
    isMap('must be a rule, such as {when: {model: "*:70b"}, only: [den]}'),
  )
  .refine(({ when: _, ...does }) => Object.values(does).some((given) => given !== undefined), {
    error: 'must do something: only, never, prefer, priority or use_model',
  })

export const rulesSchema = z
  .array(rule, { error: 'must be a list of rules, such as "- when: {model: \'*:70b\'}"' })
  .max(rulesMax, { error: `must be at most ${rulesMax} rules` })

const byModel = <Value extends z.ZodType>(value: Value, sentence: string) =>
  z
    .record(model(), value, { error: sentence })
    .superRefine((given, context) => complainOfTwins(given, canonicalName, context))
    .refine((given) => Object.keys(given).length <= namesMax, {
      error: `must be at most ${namesMax} names`,
    })

export const modelsShape = {
  aliases: byModel(model(), 'must be a map from a name to the model that is meant')
    .prefault({})
    .describe('Other names for models, such as gpt-4o-mini: "qwen3:14b"; lists show them too.'),
  fallbacks: byModel(
    list(model(), 'a model name'),
    'must be a map from a model to those that may stand in for it',
  )
    .prefault({})
    .describe(
      'Models that stand in for one that nobody can serve, best first; the answer says so.',
    ),
}

/** Of a backend: what it may serve at all. */
export const backendModels = z
  .strictObject(
    {
      allow: patterns().prefault([]).describe('Only these models; all unless set.'),
      deny: patterns().prefault([]).describe('Never these.'),
    },
    isMap('must be a map with allow and deny'),
  )
  .prefault({})
