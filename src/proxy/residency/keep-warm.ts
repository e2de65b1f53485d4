import type { KeeperDoors } from './keeper.ts'

/** What is asked for least is kept so long after its last use, and what is asked for most so long. */
const shortestS = 120
const longestS = 1_800

/**
 * keep_alive as a lever. Ollama pushes out whoever has the shortest keep_alive, so models are given one in the order
 * in which they are asked for. By empty requests, which load nothing and change no request of anybody's: a client that
 * says a keep_alive of its own has the last word.
 */
export async function keepWarm(doors: KeeperDoors): Promise<void> {
  const { pool, residency, send, clock } = doors
  const nowMs = clock.now()
  const asked = [...residency.models]
    .filter((model) => nowMs - residency.lastAskedMs(model) < longestS * 1_000)
    .sort((one, other) => residency.perSecond(one, nowMs) - residency.perSecond(other, nowMs))
  const calls = pool.endpoints
    .filter(({ enabled, ready, admitting }) => enabled && ready && admitting)
    .flatMap((endpoint) =>
      [...endpoint.inMemory.keys()].flatMap((model) => {
        const rank = asked.indexOf(model)
        if (rank < 0 || endpoint.parting.has(model)) return []
        const keepS = Math.round(shortestS + ((rank + 1) / asked.length) * (longestS - shortestS))
        const embeds = endpoint.model(model)?.embeddingOnly === true
        const body = {
          model,
          keep_alive: `${keepS}s`,
          ...(embeds ? { input: [] } : { stream: false }),
        }
        return [send(endpoint, embeds ? '/api/embed' : '/api/generate', JSON.stringify(body))]
      }),
    )
  await Promise.all(calls)
}
