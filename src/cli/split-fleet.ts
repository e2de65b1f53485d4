import { canonicalName, soundsLikeEmbedding } from '../core/model-name.ts'

/** These are for people's comfort: a proxy that does not tell at once is not waited for. */
const waitMs = 3_000

/** Models that write text, as the proxy lists them; undefined: it did not tell. */
export async function modelsAt(url: string): Promise<string[] | undefined> {
  const models = listIn(await get(`${url}/api/tags`), 'models')
  return models
    ?.flatMap(({ name }) => (typeof name === 'string' ? [name] : []))
    .filter((name) => !soundsLikeEmbedding(name))
}

/** Names of the backends that have the model and serve; none when the proxy does not tell. */
export async function backendsWith(url: string, model: string): Promise<string[]> {
  const wanted = canonicalName(model)
  const serving = ['ready', 'warming']
  return (listIn(await get(`${url}/queue-status`), 'backends') ?? [])
    .filter(({ state, models }) => {
      const has =
        Array.isArray(models) && models.some((each) => canonicalName(String(each)) === wanted)
      return has && serving.includes(String(state))
    })
    .map(({ name }) => String(name))
}

async function get(address: string): Promise<unknown> {
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(waitMs) })
    return await response.json()
  } catch {
    return undefined
  }
}

function listIn(body: unknown, key: string): Readonly<Record<string, unknown>>[] | undefined {
  const list = (body as Readonly<Record<string, unknown>> | undefined)?.[key]
  return Array.isArray(list)
    ? list.filter((each) => typeof each === 'object' && each !== null)
    : undefined
}
