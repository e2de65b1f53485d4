import type { MachineSpec, ModelSpec, Request } from './specs.ts'

/** What a request takes where nobody else is, the model in memory and nothing in the cache; milliseconds. */
export function soloMs(spec: MachineSpec, model: ModelSpec, request: Request, cached = 0): number {
  const readS = (request.promptTokens - cached) / (spec.prefillPerSecond * model.speed)
  return 1_000 * (readS + request.outputTokens / (spec.decodePerSecond * model.speed))
}

/** On the machine that is the best for it. */
export function soloBestMs(
  machines: readonly MachineSpec[],
  models: readonly ModelSpec[],
  request: Request,
): number {
  let best = Number.POSITIVE_INFINITY
  for (const spec of machines) best = Math.min(best, soloMs(spec, models[request.model]!, request))
  return best
}
