import { z } from 'zod'
import { canonicalName, readModelName } from '../core/model-name.ts'
import type { ResidencySettings } from '../core/settings.ts'
import { namePattern } from './backend-schema.ts'
import { choice, duration, list, share, text, wholeNumber } from './kinds.ts'

const model = () =>
  text('the name of a model', /^\S{1,255}$/).refine((name) => readModelName(name) !== undefined, {
    error: 'must be the name of a model, such as llama3.2 or qwen3:8b',
  })

const modelsByBackend = () =>
  z.record(text('the name of a backend', namePattern), list(model(), 'the name of a model'), {
    error: 'must be a map from names of backends to names of models',
  })

/** More copies than the largest fleet has machines. */
const copiesMax = 1_024

const replicas = z.strictObject(
  {
    min: wholeNumber(0, copiesMax).optional().describe('Copies at least.'),
    max: wholeNumber(1, copiesMax).optional().describe('Copies at most.'),
  },
  {
    error: (issue) =>
      issue.code === 'invalid_type'
        ? 'must say min, max or both, such as {min: 1, max: 3}'
        : undefined,
  },
)

export const residencyShape = {
  mode: choice('on', 'off')
    .prefault('on')
    .describe(
      'Loads are weighed and spread, and what is wanted is loaded before somebody waits for it; off: as requests come.',
    ),
  pins: modelsByBackend()
    .prefault({})
    .describe('Models that stay loaded, by backend: {walnut: [llama3.2]}.'),
  only: modelsByBackend()
    .prefault({})
    .describe('The only models that are loaded ahead on a backend: {walnut: [llama3.2, qwen3]}.'),
  replicas: z
    .record(model(), replicas, { error: 'must be a map from names of models to min and max' })
    .prefault({})
    .describe('The fewest and the most copies of a model in memory: {llama3.2: {min: 1, max: 3}}.'),
  swap_budget: share({ zero: true })
    .prefault(0.05)
    .describe(
      "Share of a backend's time that loads may take which push others out; less than half of it on a full fleet.",
    ),
  min_residency: duration()
    .prefault('1m')
    .describe(
      'What was loaded stays at least so long, and three times the time that its load took.',
    ),
  keep_alive: choice('on', 'off')
    .prefault('off')
    .describe(
      'Models that are asked for more are kept longer, by empty requests; off: as server and clients say.',
    ),
}

type Checked = z.output<z.ZodObject<typeof residencyShape>>

export function residencyOf(checked: Checked): ResidencySettings {
  return {
    on: checked.mode === 'on',
    pins: canonical(checked.pins),
    only: canonical(checked.only),
    replicas: Object.fromEntries(
      Object.entries(checked.replicas).map(([name, { min = 0, max = copiesMax }]) => [
        canonicalName(name),
        { min, max },
      ]),
    ),
    swapShare: checked.swap_budget,
    swapsAdapt: true,
    evictionWeight: 1,
    minResidencyMs: checked.min_residency,
    keepAlive: checked.keep_alive === 'on',
  }
}

/** Back to the words of the file. */
export function printResidency(residency: ResidencySettings) {
  const { on, pins, only, replicas, swapShare, minResidencyMs, keepAlive } = residency
  return {
    mode: on ? 'on' : 'off',
    pins,
    only,
    replicas,
    swap_budget: swapShare,
    min_residency: `${minResidencyMs}ms`,
    keep_alive: keepAlive ? 'on' : 'off',
  }
}

function canonical(byBackend: Readonly<Record<string, readonly string[]>>) {
  return Object.fromEntries(
    Object.entries(byBackend).map(([backend, models]) => [backend, models.map(canonicalName)]),
  )
}
