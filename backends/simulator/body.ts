import type { IncomingMessage } from 'node:http'
import { zstdDecompressSync } from 'node:zlib'
import { Refusal } from './refusal.ts'

const zstdBytesMax = 20 * 2 ** 20
const zstdPaths = new Set([
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/messages',
])

/** The whole body; undefined when the client left before its end. */
export function readBody(req: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () => resolve(Buffer.concat(parts)))
    req.on('error', () => resolve(undefined))
    req.on('close', () => resolve(undefined))
  })
}

/** Only zstd is understood, and only where Codex sends it. */
export function decoded(req: IncomingMessage, path: string, body: Buffer): Buffer {
  if (req.headers['content-encoding'] !== 'zstd' || !zstdPaths.has(path)) return body
  try {
    return zstdDecompressSync(body, { maxOutputLength: zstdBytesMax })
  } catch {
    throw new Refusal(400, 'failed to read zstd request body')
  }
}
