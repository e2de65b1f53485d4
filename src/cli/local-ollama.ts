import { Ollama } from 'ollama'
import { type Backend, backendAt } from '../core/backend.ts'

/** Where Ollama listens unless it is told otherwise. OLLAMA_HOST is not asked: it usually points at us. */
const origin = 'http://127.0.0.1:11434'
/** Where nobody listens, that is known at once: this is for a machine that is busy. */
const answerMsMax = 1_500

/** The Ollama on this machine, when one answers. */
export async function findLocalOllama(): Promise<Backend | undefined> {
  const client = new Ollama({
    host: origin,
    fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(answerMsMax) }),
  })
  try {
    await client.version()
    return backendAt('local', origin)
  } catch {
    return undefined
  }
}
