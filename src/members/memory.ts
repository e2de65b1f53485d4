import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { namePattern } from '../config/backend-schema.ts'
import type { Member } from './member.ts'

/** What was said about a name at an address: by the operator, or by a rule. */
export interface Known {
  readonly name: string
  readonly kind: 'agent' | 'plain'
  readonly answer: 'accepted' | 'allowed' | 'rejected'
  /** It was a backend when this was written, and is one again at the next start. */
  readonly serving: boolean
  /** Without port: an agent may be started on another one. */
  readonly address: string
  /** Where it was called last. */
  readonly origin: string
  readonly labels: readonly string[]
}

/** More words than this nobody has said by hand; the oldest is forgotten. */
const knownMax = 10_000

/**
 * Whom the operator has accepted or rejected, and who serves, in a file of the data directory: what was said once holds
 * after a restart, and who served does so again at once. Names, addresses and labels; no secret is in it.
 */
export class Memory {
  readonly #file: string
  readonly #known = new Map<string, Known>()
  readonly #notice: (sentence: string, detail: { file: string }) => void
  #writing: Promise<void> = Promise.resolve()
  #isSaid = false

  /** `notice` hears of a file that can not be read or written. */
  constructor(dataDir: string, notice: (sentence: string, detail: { file: string }) => void) {
    this.#file = join(dataDir, 'members.json')
    this.#notice = notice
  }

  /** Once, at the start. A file that says nothing that can be understood is said, and written over later. */
  async read(): Promise<void> {
    try {
      const { members } = JSON.parse(await readFile(this.#file, 'utf8')) as { members?: unknown }
      if (!Array.isArray(members)) throw new Error('no list of members')
      for (const each of members.slice(0, knownMax)) {
        const known = readKnown(each)
        if (known) this.#known.set(known.name, known)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      this.#notice('the list of accepted members can not be read; accept them again', {
        file: this.#file,
      })
    }
  }

  get(name: string): Known | undefined {
    return this.#known.get(name)
  }

  all(): Iterable<Known> {
    return this.#known.values()
  }

  remember(known: Known): void {
    if (isDeepStrictEqual(this.#known.get(known.name), known)) return
    this.#known.delete(known.name)
    this.#known.set(known.name, known)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= knownMax) break
      this.#known.delete(oldest)
    }
    this.#write()
  }

  forget(name: string): void {
    if (this.#known.delete(name)) this.#write()
  }

  /** Ends when everything remembered so far is on disk. */
  written(): Promise<void> {
    return this.#writing
  }

  #write(): void {
    const text = `${JSON.stringify({ version: 1, members: [...this.#known.values()] }, null, 2)}\n`
    this.#writing = this.#writing.then(async () => {
      try {
        await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 })
        // Moved when it is on the disk, so that a crash or a power cut leaves the old list or the new one.
        await writeWhole(`${this.#file}.new`, text)
        await rename(`${this.#file}.new`, this.#file)
      } catch {
        if (!this.#isSaid)
          this.#notice('who was accepted can not be kept; it holds until the next restart', {
            file: this.#file,
          })
        this.#isSaid = true
      }
    })
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  await using handle = await open(file, 'w', 0o600)
  await handle.writeFile(text)
  await handle.sync()
}

function readKnown(value: unknown): Known | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, kind, answer, serving, address, origin, labels } = value as Record<string, unknown>
  if (typeof name !== 'string' || !namePattern.test(name)) return undefined
  if (kind !== 'agent' && kind !== 'plain') return undefined
  if (answer !== 'accepted' && answer !== 'allowed' && answer !== 'rejected') return undefined
  if (typeof address !== 'string' || typeof origin !== 'string') return undefined
  if (!/^http:\/\/[^/?#@\s]{1,300}$/.test(origin) || !URL.canParse(origin)) return undefined
  const words = Array.isArray(labels) ? labels : []
  return {
    name,
    kind,
    answer,
    serving: serving === true,
    address,
    origin,
    labels: words.filter((word) => typeof word === 'string' && word.length <= 64),
  }
}

/** Who serves already need not be accepted again under the same name at the same address. */
export function knownOf(before: Member | undefined): Known | undefined {
  const serves = before?.state === 'accepted' || before?.state === 'gone'
  return serves && before.agent ? knownAs(before, 'accepted') : undefined
}

/** A member as it is remembered. */
export function knownAs(
  { name, how, origin, labels, state }: Member,
  answer: Known['answer'],
): Known {
  const address = new URL(origin).hostname.replace(/^\[|\]$/g, '')
  const serving = answer !== 'rejected' && (state === 'accepted' || state === 'gone')
  const kind = how === 'joined' ? 'agent' : 'plain'
  return { name, kind, answer, serving, address, origin, labels }
}
