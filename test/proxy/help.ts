import type { Ask } from '../../src/core/ask.ts'
import { readModelName } from '../../src/core/model-name.ts'
import { type HeldBody, noBody } from '../../src/proxy/body.ts'
import type { ClientSide } from '../../src/proxy/client-side.ts'
import { type Asked, Exchange } from '../../src/proxy/exchange.ts'

/** A client without a socket, that remembers all it was told. */
export interface RecordingClient extends ClientSide {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  text(): string
  readonly how: 'open' | 'ended' | 'cut'
  leave(): void
  /** From now on it reads no more, until `drain`. */
  stall(): void
  drain(): void
}

export function recordingClient(): RecordingClient {
  const leaving: (() => void)[] = []
  let draining: (() => void)[] = []
  const chunks: Uint8Array[] = []
  let [status, how, left, stalled] = [0, 'open' as RecordingClient['how'], false, false]
  let headers: Record<string, string> = {}
  return {
    get status() {
      return status
    },
    get headers() {
      return headers
    },
    get how() {
      return how
    },
    get left() {
      return left
    },
    get started() {
      return status !== 0
    },
    get bytesOut() {
      return chunks.reduce((sum, { length }) => sum + length, 0)
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
    onLeft: (act) => void (left ? act() : leaving.push(act)),
    head(said, raw) {
      status = said
      headers = {}
      for (let at = 0; at + 1 < raw.length; at += 2) headers[raw[at]!.toLowerCase()] = raw[at + 1]!
    },
    write(bytes) {
      chunks.push(bytes)
      return !stalled
    },
    onDrain: (act) => void draining.push(act),
    end(bytes) {
      if (bytes) chunks.push(bytes)
      how = 'ended'
    },
    answer(said, raw, body) {
      this.head(said, raw)
      this.end(body)
    },
    answerEarly(said, raw, body) {
      this.answer(said, raw, body)
    },
    cut() {
      how = 'cut'
    },
    leave() {
      left = true
      for (const act of leaving.splice(0)) act()
    },
    stall() {
      stalled = true
    },
    drain() {
      stalled = false
      const acts = draining
      draining = []
      for (const act of acts) act()
    },
  }
}

export function askOf(more: Partial<Ask> = {}): Ask {
  return {
    family: 'ollama',
    op: 'chat',
    modelText: 'm',
    name: readModelName('m')!,
    purpose: 'infer',
    framing: 'ndjson',
    needs: [],
    runner: {},
    keepAlive: undefined,
    textBytes: 10,
    repeatable: true,
    ...more,
  }
}

export function exchangeFor(
  client: ClientSide,
  { ask, ...more }: Partial<Omit<Asked, 'ask'>> & { ask?: Partial<Ask> } = {},
): Exchange {
  return new Exchange(
    {
      id: 'id',
      ask: askOf(ask),
      method: 'POST',
      path: '/api/chat',
      rawHeaders: [],
      body: noBody,
      tenant: 't',
      priority: 'normal',
      labels: [],
      work: '',
      pinned: undefined,
      deadlineMs: undefined,
      arrivedMs: 0,
      ...more,
    },
    client,
  )
}

export function bodyOf(text: string): HeldBody {
  const bytes = Buffer.from(text)
  return { size: bytes.length, bytes, open: () => bytes, [Symbol.dispose]() {} }
}

/** The same, as if it stood in a file. */
export function filedBodyOf(text: string): HeldBody {
  const bytes = Buffer.from(text)
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7)
  }
  return { size: bytes.length, bytes: undefined, open: pieces, [Symbol.dispose]() {} }
}
