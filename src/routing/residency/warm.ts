import type { ModelView } from '../../core/endpoint-view.ts'
import type { Need } from '../need.ts'

/**
 * Loaded there in a way that serves this request without loading again. Ollama makes a new runner for other options, so
 * a copy with others is as good as none, and worse: the request would push it out. What nobody knows is not assumed to
 * differ: a request without options of its own takes any copy of which nothing is known.
 */
export function isWarmFor(model: ModelView, need: Pick<Need, 'runner'>): boolean {
  if (!model.resident) return false
  return model.runsAs === undefined || model.runsAs(need.runner) !== 'other'
}
