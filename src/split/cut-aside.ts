import { Worker } from 'node:worker_threads'
import PQueue from 'p-queue'
import { CannotCut, type CutWishes, type Part, PartTooLarge } from './cut/splitter.ts'
import { cutText, type TextSplitterName } from './cut/splitters.ts'
import { rawTokens } from './cut/tokens-of.ts'

export interface CutAsideJob {
  readonly by: TextSplitterName
  readonly text: string
  readonly wishes: Omit<CutWishes, 'tokensOf'>
  /** What the raw count of tokens is multiplied by for this model. */
  readonly tokenFactor: number
}

export type CutAsideResult =
  | { readonly kind: 'parts'; readonly parts: Part[] }
  | {
      readonly kind: 'tooLarge'
      readonly message: string
      readonly label: string
      readonly tokens: number
    }
  | { readonly kind: 'cannotCut'; readonly message: string }

/**
 * Longer texts, in UTF-16 units, are cut on a thread of their own: here every stream would stand still meanwhile. A
 * Markdown parser reads a quarter of a megabyte a second, the others ten and more; the thread itself takes 50 ms.
 */
const unitsHereMax = 262_144
const unitsHereMaxOf: Partial<Record<TextSplitterName, number>> = { markdown: 16_384, code: 65_536 }
/** Far above what the largest body needs, far below what would take the machine down with it. */
const heapMegabytesMax = 2_048

/** Threads at once: each may hold a body's worth of text, and takes time of a core from everybody's answers. */
const threadsMax = 2

/** Cuts texts without holding anybody up. */
export class CutAside {
  readonly #threads = new PQueue({ concurrency: threadsMax })

  /** Texts for which no thread is free. */
  get waiting(): number {
    return this.#threads.size
  }

  /** The signal ends it, or its waiting for a thread, with the signal's reason. */
  async cut(job: CutAsideJob, signal: AbortSignal): Promise<Part[]> {
    const { by, text, wishes, tokenFactor } = job
    signal.throwIfAborted()
    if (text.length <= (unitsHereMaxOf[by] ?? unitsHereMax)) {
      const tokensOf = (piece: string) => rawTokens(piece) * tokenFactor
      return await cutText(by, text, { ...wishes, tokensOf })
    }
    return await this.#threads.add(() => cutOnThread(job, signal), { signal })
  }
}

async function cutOnThread(job: CutAsideJob, signal: AbortSignal): Promise<Part[]> {
  signal.throwIfAborted()
  const worker = new Worker(new URL('./cut-worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
  })
  const { promise, resolve, reject } = Promise.withResolvers<CutAsideResult>()
  const stop = () => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  worker.once('message', resolve)
  worker.once('error', reject)
  worker.once('exit', () => reject(new Error('the thread that cuts ended without a word')))
  try {
    const result = await promise
    if (result.kind === 'parts') return result.parts
    if (result.kind === 'cannotCut') throw new CannotCut(result.message)
    throw new PartTooLarge(result.label, result.tokens, job.wishes.tokensMax)
  } finally {
    signal.removeEventListener('abort', stop)
    void worker.terminate()
  }
}
