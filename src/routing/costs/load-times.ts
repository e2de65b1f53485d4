import { Ewma } from '../../core/ewma.ts'
import { Recent } from '../../core/recent.ts'

/** A load costs this much before the first byte: a process is started and the memory asked for. */
const startS = 1
/** From a cold disk, until something was measured: an NVMe drive behind a busy bus. */
const bytesPerSecondGuess = 1e9
/** What was in memory so recently is read from the page cache of the system. */
const cachedForMs = 600_000
const rowsMax = 2_000

interface Row {
  readonly cold: Ewma
  readonly again: Ewma
  goneMs: number | undefined
}

/** How long loads take: of this model there, else by its size and what that machine needs for a byte. */
export class LoadTimes {
  readonly #rows = new Recent<string, Row>(rowsMax)
  readonly #perByte = new Map<string, Ewma>()
  readonly #perByteAnywhere = new Ewma(0.1)

  learn(
    endpoint: string,
    weights: string,
    bytes: number | undefined,
    seconds: number,
    nowMs: number,
  ): void {
    if (!(seconds > 0)) return
    const row = this.#rowOf(endpoint, weights)
    const again = isRecent(row, nowMs)
    ;(again ? row.again : row.cold).add(seconds)
    if (bytes === undefined || bytes <= 0 || again) return
    const perByte = Math.max(0, seconds - startS) / bytes
    this.#perByteAnywhere.add(perByte)
    let own = this.#perByte.get(endpoint)
    if (!own) {
      own = new Ewma(0.3)
      this.#perByte.set(endpoint, own)
    }
    own.add(perByte)
  }

  /** It left the memory there. */
  unloaded(endpoint: string, weights: string, nowMs: number): void {
    this.#rowOf(endpoint, weights).goneMs = nowMs
  }

  /** Seconds that a load would take now. */
  expectedS(endpoint: string, weights: string, bytes: number | undefined, nowMs: number): number {
    const row = this.#rows.peek(keyOf(endpoint, weights))
    const again = row && isRecent(row, nowMs) ? row.again.value : undefined
    const known = again ?? row?.cold.value ?? row?.again.value
    if (known !== undefined) return known
    const perByte =
      this.#perByte.get(endpoint)?.value ?? this.#perByteAnywhere.value ?? 1 / bytesPerSecondGuess
    return startS + (bytes ?? 4e9) * perByte
  }

  forget(endpoint: string): void {
    this.#perByte.delete(endpoint)
    for (const [key] of this.#rows) if (key.startsWith(`${endpoint}\n`)) this.#rows.delete(key)
  }

  #rowOf(endpoint: string, weights: string): Row {
    const key = keyOf(endpoint, weights)
    let row = this.#rows.get(key)
    if (!row) {
      row = { cold: new Ewma(0.3), again: new Ewma(0.3), goneMs: undefined }
      this.#rows.set(key, row)
    }
    return row
  }
}

function isRecent({ goneMs }: Row, nowMs: number): boolean {
  return goneMs !== undefined && nowMs - goneMs < cachedForMs
}

function keyOf(endpoint: string, weights: string): string {
  return `${endpoint}\n${weights}`
}
