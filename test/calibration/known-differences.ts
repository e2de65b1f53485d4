/** Where the simulator does not do what a real server does, and why. */
export type Generation = 'old' | 'new'

export interface KnownDifference {
  step: RegExp | string
  /** Absent: anywhere in the step. */
  path?: RegExp | string
  /** Absent: both. */
  generation?: Generation
  reason: string
}

const OF_THE_MODEL = 'It is a matter of the model file, and the models are not the same.'
const NO_TEMPLATES = 'The simulator has no templates to read, run or render.'
const NO_REGISTRY = 'The imagined registry of the simulator has every model.'

export const knownDifferences: readonly KnownDifference[] = [
  { step: 'chat.render.prefill', reason: NO_TEMPLATES },
  { step: 'generate.template', reason: NO_TEMPLATES },
  { step: /^refuse\./, reason: 'The engine of the simulator takes every prompt that fits.' },
  { step: /^pull\.unreachable/, reason: NO_REGISTRY },
  { step: 'show.embed', path: 'body.json.template', reason: OF_THE_MODEL },
  {
    step: 'tags',
    path: /^body\.json\.models\.\d/,
    generation: 'new',
    reason:
      'Real lists leave out what only a chat template inside the file says; the simulator has no such models.',
  },
  {
    step: 'think.generate.stream',
    path: /^body\.frames\./,
    reason: 'Ollama says empty pieces while it does not yet know whether it reads a thought.',
  },
  {
    step: 'call.chat.stream',
    path: /^body\.frames\./,
    reason:
      'Engines that read calls themselves have them in the last line; the simulator says them as models with templates do.',
  },
  {
    step: /^show(\.|$)/,
    path: 'body.json.details.parent_model',
    generation: 'old',
    reason:
      'The old generation gives the path of the file that a model was made from; no path is worth imitating.',
  },
  {
    step: /^generate\.toolong\.noshift/,
    path: /eval_duration$/,
    generation: 'old',
    reason: 'A context that is full after one piece: the old engine then counts no time for it.',
  },
]
