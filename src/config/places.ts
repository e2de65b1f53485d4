import type { LineCounter } from 'yaml'
import { masked } from './mask.ts'
import type { Problem } from './problem.ts'
import { isPrintableKey, type Path, pathText } from './schema-tree.ts'

/** Where a value came from. */
export type Place =
  | {
      readonly in: 'file'
      readonly keyStart: number | undefined
      readonly start: number
      /** Variables that its text was filled from. */
      readonly from: readonly string[]
    }
  | { readonly in: 'environment' | 'command line'; readonly name: string }

/** Where every value of a configuration came from, so that a problem can say so. */
export class Places {
  readonly #file: string
  readonly #lines: LineCounter | undefined
  readonly #byPath = new Map<string, Place>()

  constructor(file: string, lines?: LineCounter) {
    this.#file = file
    this.#lines = lines
  }

  set(path: Path, place: Place): void {
    this.#byPath.set(JSON.stringify(path), place)
  }

  /** The place of a value, or of the nearest thing around it. */
  find(path: Path): Place | undefined {
    for (let length = path.length; length >= 0; length--) {
      const place = this.#byPath.get(JSON.stringify(path.slice(0, length)))
      if (place) return place
    }
    return undefined
  }

  problem(
    path: Path,
    message: string,
    more: { hint?: string | undefined; onKey?: boolean } = {},
  ): Problem {
    const place = this.find(path)
    const hint = more.hint === undefined ? {} : { hint: more.hint }
    if (place && place.in !== 'file')
      return {
        file: place.in,
        line: undefined,
        column: undefined,
        path: place.name,
        message,
        ...hint,
      }
    const offset = more.onKey === true ? (place?.keyStart ?? place?.start) : place?.start
    return { ...this.#at(offset), path: pathText(withoutSecrets(path)), message, ...hint }
  }

  /** A problem of the text itself, such as a bracket that is never closed. */
  problemAt(offset: number, message: string, hint?: string): Problem {
    return { ...this.#at(offset), path: '', message, ...(hint === undefined ? {} : { hint }) }
  }

  #at(offset: number | undefined) {
    const at = offset === undefined ? undefined : this.#lines?.linePos(offset)
    return { file: this.#file, line: at?.line, column: at?.col }
  }
}

/** A key that is none, and looks like no word, may be the value with its colon: `admin_token:word`. */
function withoutSecrets(path: Path): Path {
  return path.map((part, index) =>
    isPrintableKey(path.slice(0, index), String(part)) ? part : masked,
  )
}
