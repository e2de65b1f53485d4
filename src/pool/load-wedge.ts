/** The first pause until loads are tried again; each next one is double. */
const pauseMsFirst = 60_000
const pauseMsMax = 900_000

/**
 * A server whose loads hang: it serves what it has in memory, lists it, and lets every other request wait for ever, as
 * Ollama does when a model that was to leave is used again in the wrong moment. No health check sees that.
 */
export class LoadWedge {
  #sinceMs: number | undefined
  #nextTryMs = 0
  #pauseMs = pauseMsFirst

  /** Since when; undefined: loads work, as far as is known. */
  get sinceMs(): number | undefined {
    return this.#sinceMs
  }

  get isWedged(): boolean {
    return this.#sinceMs !== undefined
  }

  /** A load hangs, or did so again when it was tried. */
  hangs(nowMs: number): void {
    if (this.#sinceMs !== undefined) this.#pauseMs = Math.min(pauseMsMax, this.#pauseMs * 2)
    this.#sinceMs ??= nowMs
    this.#nextTryMs = nowMs + this.#pauseMs
  }

  /** It is time to see whether loads work again. */
  isTryDue(nowMs: number): boolean {
    return this.#sinceMs !== undefined && nowMs >= this.#nextTryMs
  }

  /** One is on its way: not a second one meanwhile. */
  tries(nowMs: number): void {
    this.#nextTryMs = nowMs + this.#pauseMs
  }

  /** A model was loaded, or the server was started anew. */
  clear(): void {
    this.#sinceMs = undefined
    this.#pauseMs = pauseMsFirst
  }
}
