/** Starts our simulator with the models and settings that the scenarios expect of a server. */
import { type ModelSpec, startSimulator } from '../../backends/simulator/server.ts'
import type { Generation } from './known-differences.ts'
import { type PhaseSettings, SEED_MODELS, type Target } from './scenarios.ts'

export interface Simulated extends Target {
  stop: () => Promise<void>
}

export async function startSimulated(
  generation: Generation,
  settings: PhaseSettings,
): Promise<Simulated> {
  const models: ModelSpec[] = SEED_MODELS.map((model) => ({
    name: model.name,
    capabilities: model.capabilities,
    family: 'llama',
    contextTrain: 8192,
    embeddingLength: 64,
    sizeBytes: 700_000,
    ...(model.name === 'loops' ? { kind: 'stops-without-done' as const } : {}),
    ...(model.capabilities.includes('thinking') ? { kind: 'thinks' as const } : {}),
  }))
  const simulator = await startSimulator({
    models,
    generation,
    version: '0.0.0',
    slots: settings.parallel,
    maxLoaded: settings.maxLoaded,
    maxQueue: settings.maxQueue,
    contextDefault: 4096,
    cloudDisabled: true,
    ...(settings.longAnswers
      ? {
          // Answers that do not end while something is done to them, and prompts that take a while to read.
          answerTokens: 20_000,
          decodeTokensPerSecond: 1000,
          prefillTokensPerSecond: 5000,
        }
      : {}),
    ...(settings.loadMs > 0 ? { loadMs: settings.loadMs } : {}),
  })
  return {
    port: simulator.port,
    stop: () => simulator.close(),
    killEngine: async () => simulator.crashRunner() > 0,
  }
}
