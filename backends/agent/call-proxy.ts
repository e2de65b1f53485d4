import type { Clock } from '../../src/core/clock.ts'
import { sign, signedHeader, verify } from '../../src/guard/signing.ts'

/** What came back of a call to the proxy, before anything of it is believed. */
export interface Answered {
  readonly status: number
  readonly signature: string | undefined
  readonly text: string
}

/** One POST to the proxy: no redirect followed, 64 KiB read at most. Undefined: no answer. Never throws. */
export type CallProxy = (call: {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly timeoutMs: number
}) => Promise<Answered | undefined>

export interface Said {
  readonly status: number
  /** By who has our key, for this call. */
  readonly isSigned: boolean
  /** The fields of the document; none where there was no document. */
  readonly body: Readonly<Record<string, unknown>>
}

const answerBytesMax = 65_536

/** A signed call, and whether its answer is the proxy's own. */
export async function callSigned(
  call: CallProxy,
  how: {
    readonly path: string
    readonly key: Buffer
    readonly words: object
    readonly nonce: string
    readonly timeoutMs: number
    readonly clock: Clock
  },
): Promise<Said | undefined> {
  const { path, key, nonce, clock, timeoutMs } = how
  const body = JSON.stringify(how.words)
  const signed = sign({ key, method: 'POST', path, body, nowMs: clock.wall(), nonce })
  const headers = { 'content-type': 'application/json', [signedHeader]: signed }
  const answer = await call({ path, headers, body, timeoutMs })
  if (!answer) return undefined
  const { status, signature, text } = answer
  const verdict = verify({
    key,
    method: `ANSWER ${status}`,
    path,
    body: text,
    header: signature,
    nowMs: clock.wall(),
    nonce,
  })
  return { status, isSigned: verdict.ok, body: fieldsIn(text) }
}

/** By HTTP, to the proxy that stands at this URL. */
export function callProxyAt(origin: string): CallProxy {
  return async ({ path, headers, body, timeoutMs }) => {
    try {
      const answer = await fetch(origin + path, {
        method: 'POST',
        headers,
        body,
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      })
      const text = await textOf(answer)
      if (text === undefined) return undefined
      return {
        status: answer.status,
        signature: answer.headers.get(signedHeader) ?? undefined,
        text,
      }
    } catch {
      return undefined
    }
  }
}

/** Undefined: it is larger than any answer to us. */
async function textOf({ body }: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > answerBytesMax) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function fieldsIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
