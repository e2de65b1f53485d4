import { toGoJson } from './go-json.ts'
import { clientLeft, inStream, Refusal } from './refusal.ts'
import { InBandError, type Reply } from './reply.ts'

/** Says how far something is: a line each, or only the last one where no stream was asked for. */
export type Say = (line: Record<string, unknown>) => Promise<void>

/**
 * Runs a long piece of work and writes its lines. By the time something fails a line is usually out already, so
 * failures stand in the stream, under a status of 200; without a stream they have a status of their own.
 */
export async function withProgress(
  reply: Reply,
  stream: boolean,
  work: (say: Say) => Promise<void>,
): Promise<void> {
  if (stream) reply.streams('application/x-ndjson')
  let last: Record<string, unknown> = {}
  try {
    await work(async (line) => {
      if (reply.signal.aborted) throw clientLeft()
      last = line
      if (stream) await reply.frame(`${toGoJson(line)}\n`)
    })
  } catch (failure) {
    if (reply.signal.aborted) return
    const text = failure instanceof Error ? failure.message : String(failure)
    if (failure instanceof InBandError) reply.entry.cancelReason ??= `fault: ${text}`
    if (!stream) {
      const status = failure instanceof Refusal ? failure.status : 500
      return reply.send(status, 'application/json', toGoJson({ error: text }))
    }
    if (!reply.started) throw inStream(failure)
    await reply.frame(`${toGoJson({ error: text })}\n`)
    return reply.end()
  }
  if (stream) reply.end()
  else reply.send(200, 'application/json', toGoJson(last))
}
