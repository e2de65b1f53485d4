import type { House } from '../../src/app.ts'
import { askEndpoint } from '../../src/proxy/ask-backend.ts'

/** The proxy waits for the answer, and gives it two seconds. */
const answerMsMax = 1_500

/**
 * Asks the Ollama, saying by which way the question came. One of our proxies in its place knows its own name there and
 * refuses with 508: then whoever asked would be asking itself.
 */
export async function lookThroughTo(
  { pool, wire, clock, hop }: Pick<House, 'pool' | 'wire' | 'clock' | 'hop'>,
  via: string | undefined,
): Promise<{ ollama: 'ok' | 'loop' | 'away'; models: number }> {
  const endpoint = pool.endpoints[0]
  if (!endpoint) return { ollama: 'away', models: 0 }
  const models = endpoint.onDisk.size
  if (via?.includes(hop)) return { ollama: 'loop', models }
  const { outcome } = await askEndpoint(wire, clock, hop, endpoint, {
    method: 'GET',
    path: '/api/version',
    timeoutMs: answerMsMax,
    headers: via === undefined ? [] : ['Via', via],
  })
  if (outcome.kind === 'answered') return { ollama: 'ok', models }
  const isLoop = outcome.kind === 'refused' && outcome.status === 508
  return { ollama: isLoop ? 'loop' : 'away', models }
}
