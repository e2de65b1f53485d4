import type { Observer } from '../core/observer.ts'
import type { Settings } from '../core/settings.ts'
import { asFarAsPossible, changesBetween } from './changes.ts'
import { ConfigError, type Problem } from './problem.ts'

/** What became of a reload. */
export type Reloaded =
  | {
      readonly result: 'applied' | 'unchanged'
      readonly changes: readonly string[]
      /** Different in the file, and as it was in the process. */
      readonly needsRestart: readonly string[]
    }
  | {
      readonly result: 'refused'
      readonly problems: readonly Problem[]
      /** All problems with their lines, as `config validate` prints them. */
      readonly report: string
    }

export interface ReloadDoors {
  /** The settings as their sources say now; throws a ConfigError with all that is wrong. Absent: there is no source. */
  readonly read: (() => Promise<Settings>) | undefined
  /** Called in the turn in which the settings have been exchanged: for what was made of some of them. */
  readonly apply: () => void
  readonly observer: Pick<Observer, 'reloaded'>
}

/**
 * The settings in force, and the one who may exchange them: read whole, checked whole and applied in one turn, or not
 * at all. Everybody else holds `now` and reads a section of it when it is needed.
 */
export class SettingsInForce {
  readonly now: Settings
  readonly #own: { -readonly [Key in keyof Settings]: Settings[Key] }
  readonly #doors: ReloadDoors
  #last: Promise<unknown> = Promise.resolve()
  #refused = false

  constructor(first: Settings, doors: ReloadDoors) {
    this.#own = { ...first }
    this.now = this.#own
    this.#doors = doors
  }

  /** The newest that was read had errors, and what was before it still holds. */
  get refused(): boolean {
    return this.#refused
  }

  /** One after another: who asks in the middle of a reload may have changed what it has read already. */
  reload(cause: string): Promise<Reloaded> {
    const reloaded = this.#last.then(() => this.#reload(cause))
    this.#last = reloaded.catch(() => {})
    return reloaded
  }

  async #reload(cause: string): Promise<Reloaded> {
    const { read, observer } = this.#doors
    if (!read) return { result: 'unchanged', changes: [], needsRestart: [] }
    let next: Settings
    try {
      next = await read()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const { problems, report, message } = error
      this.#refused = true
      const where = problems[0] === undefined ? '' : `${placeOf(problems[0])}: `
      observer.reloaded({ cause, result: 'refused', changes: [], problem: `${where}${message}` })
      return { result: 'refused', problems, report }
    }
    const changes = changesBetween(this.now, next)
    const [later, now] = [true, false].map((needsRestart) =>
      changes
        .filter((change) => change.needsRestart === needsRestart)
        .map(({ sentence }) => sentence),
    ) as [string[], string[]]
    if (now.length > 0) {
      Object.assign(this.#own, asFarAsPossible(this.now, next))
      this.#doors.apply()
    }
    this.#refused = false
    const result = now.length > 0 ? 'applied' : 'unchanged'
    observer.reloaded({ cause, result, changes: now, needsRestart: later })
    return { result, changes: now, needsRestart: later }
  }
}

function placeOf({ file, line, column }: Problem): string {
  return line === undefined ? file : `${file}:${line}:${column ?? 1}`
}
