import { pipeline } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import { Failure } from '../core/failure.ts'
import { type BodyBudget, ClientGone, type HeldBody } from '../proxy/body.ts'
import type { ClientSide } from '../proxy/client-side.ts'

/** Ollama's own bound on a decompressed body (middleware for zstd). */
const unpackedBytesMax = 20 * 1_048_576

/**
 * Shows `see` what a zstd body holds, piece by piece. Until the last one it counts in the budget, as if it were held.
 * Rejects with a Failure; with ClientGone as soon as the client leaves, also while it waits for its turn.
 */
export async function unpack(
  body: HeldBody,
  budget: BodyBudget,
  client: Pick<ClientSide, 'onLeft'>,
  see: (chunk: Buffer) => void,
): Promise<void> {
  const left = new AbortController()
  client.onLeft(() => left.abort(new ClientGone()))
  const { signal } = left
  await budget.unpackers.add(() => unpackNow(body, budget, signal, see), { signal })
}

async function unpackNow(
  body: HeldBody,
  budget: BodyBudget,
  signal: AbortSignal,
  see: (chunk: Buffer) => void,
): Promise<void> {
  using share = budget.memory()
  let size = 0
  const opened = body.open()
  try {
    await pipeline(
      opened instanceof Uint8Array ? [opened] : opened,
      createZstdDecompress(),
      async (unpacked: AsyncIterable<Buffer>) => {
        for await (const chunk of unpacked) {
          size += chunk.length
          if (size > unpackedBytesMax)
            throw new Failure('body_too_large', `the body is larger than ${unpackedBytesMax} bytes`)
          share.growTo(size)
          see(chunk)
        }
      },
      { signal },
    )
  } catch (error) {
    if (error instanceof Failure) throw error
    const sentence = 'the body is not the zstd that its Content-Encoding says'
    throw new Failure('body_unreadable', sentence, { cause: error })
  }
}
