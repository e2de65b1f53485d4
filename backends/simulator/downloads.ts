import { type Clock, sleep } from '../../src/core/clock.ts'

/** The beat of Ollama's progress lines. */
const progressMs = 60

interface Download {
  completed: number
  waiters: number
  stop: AbortController
  done: Promise<boolean>
}

/**
 * Layers on their way from the registry. Two pulls of one layer share one download; it stops when the last who waits
 * for it leaves, and the next one goes on where it stopped.
 */
export class Downloads {
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  readonly #keep: (digest: string, sizeBytes: number) => void
  readonly #running = new Map<string, Download>()
  readonly #kept = new Map<string, number>()
  /** How often a transfer was begun: what a test of shared downloads counts. */
  begun = 0

  constructor(
    clock: Clock,
    bytesPerSecond: number,
    keep: (digest: string, sizeBytes: number) => void,
  ) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
    this.#keep = keep
  }

  /** True when the layer is here; false when the one who asked left before. */
  async fetch(
    digest: string,
    total: number,
    signal: AbortSignal,
    progress: (completed: number) => Promise<void>,
  ): Promise<boolean> {
    const download = this.#running.get(digest) ?? this.#begin(digest, total)
    download.waiters++
    try {
      await progress(download.completed)
      for (;;) {
        const beat = sleep(this.#clock, progressMs, signal).then(() => false)
        const complete = await Promise.race([download.done, beat])
        if (signal.aborted) return false
        await progress(download.completed)
        if (complete) return true
      }
    } finally {
      download.waiters--
      if (download.waiters === 0 && this.#running.get(digest) === download) {
        // Taken off at once, or the next pull would wait for a transfer that has stopped.
        this.#running.delete(digest)
        this.#kept.set(digest, download.completed)
        download.stop.abort()
      }
    }
  }

  #begin(digest: string, total: number): Download {
    this.begun++
    const stop = new AbortController()
    const download: Download = {
      completed: this.#kept.get(digest) ?? 0,
      waiters: 0,
      stop,
      done: Promise.resolve(false),
    }
    download.done = this.#transfer(digest, total, download)
    this.#running.set(digest, download)
    return download
  }

  async #transfer(digest: string, total: number, download: Download): Promise<boolean> {
    const { signal } = download.stop
    let last = this.#clock.now()
    while (download.completed < total && !signal.aborted) {
      const leftMs = ((total - download.completed) / this.#bytesPerSecond) * 1000
      await sleep(this.#clock, Math.min(leftMs, progressMs / 4), signal)
      const now = this.#clock.now()
      const came = Math.ceil(((now - last) / 1000) * this.#bytesPerSecond)
      download.completed = Math.min(total, download.completed + came)
      last = now
    }
    if (download.completed < total) return false
    if (this.#running.get(digest) === download) this.#running.delete(digest)
    this.#kept.delete(digest)
    this.#keep(digest, total)
    return true
  }
}
