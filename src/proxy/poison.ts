import { createHash } from 'node:crypto'
import type { HeldBody } from './body.ts'

/** How long a request that ended two runners is refused. */
const banMs = 600_000
/** More than this many different killers in ten minutes means trouble of another kind; the oldest are forgotten. */
const bansMax = 1_000

/** Requests under which two model runners died, by (model, prompt): refused for ten minutes everywhere. */
export class Poison {
  readonly #bans = new Map<string, number>()

  /** Something may be banned; nothing is hashed while nothing is. */
  get any(): boolean {
    return this.#bans.size > 0
  }

  async isBanned(model: string, body: HeldBody, nowMs: number): Promise<boolean> {
    if (this.#bans.size === 0) return false
    for (const [key, untilMs] of this.#bans) {
      if (untilMs > nowMs) break // in order of time
      this.#bans.delete(key)
    }
    return this.#bans.size > 0 && this.#bans.has(await keyOf(model, body))
  }

  async ban(model: string, body: HeldBody, nowMs: number): Promise<void> {
    const key = await keyOf(model, body)
    this.#bans.delete(key)
    this.#bans.set(key, nowMs + banMs)
    if (this.#bans.size > bansMax) {
      const [oldest] = this.#bans.keys()
      if (oldest !== undefined) this.#bans.delete(oldest)
    }
  }
}

/** What the model reads; the rest of a body (streamed or not, how long it is kept) kills nobody. */
const promptFields = [
  'prompt',
  'messages',
  'input',
  'system',
  'suffix',
  'images',
  'context',
  'instructions',
  'tools',
  'format',
  'template',
  'raw',
]

async function keyOf(model: string, body: HeldBody): Promise<string> {
  const hash = createHash('sha256')
  const prompt = body.bytes && promptIn(body.bytes)
  if (prompt !== undefined) hash.update(prompt)
  else if (body.bytes) hash.update(body.bytes)
  else for await (const piece of body.open() as AsyncIterable<Uint8Array>) hash.update(piece)
  return `${model} ${hash.digest('base64')}`
}

/** Undefined for a body that is no JSON object. */
function promptIn(bytes: Buffer): string | undefined {
  try {
    const fields = JSON.parse(bytes.toString('utf8')) as Readonly<Record<string, unknown>>
    return JSON.stringify(promptFields.map((name) => fields[name] ?? null))
  } catch {
    return undefined
  }
}
