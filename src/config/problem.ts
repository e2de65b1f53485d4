export interface Problem {
  /** The file, `environment` or `command line`. */
  readonly file: string
  /** From 1; undefined where there is no line, as in a variable. */
  readonly line: number | undefined
  readonly column: number | undefined
  /** The key as a person writes it, such as `backends[0].url`; the name of a variable or a flag; or empty. */
  readonly path: string
  readonly message: string
  readonly hint?: string
}

/** More than this nobody mends in one go. */
const shownMax = 50

/** Shows a place in the file, where there is one. */
export type ShowPlace = (line: number, column: number) => string

/** Each problem with the line it is about. */
export function formatProblems(problems: readonly Problem[], showPlace?: ShowPlace): string {
  const shown = problems.slice(0, shownMax).map((problem) => formatProblem(problem, showPlace))
  const hidden = problems.length - shown.length
  return [...shown, ...(hidden > 0 ? [`… and ${hidden} more`] : [])].join('\n\n')
}

function formatProblem(problem: Problem, showPlace: ShowPlace | undefined): string {
  const { file, line, column } = problem
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`
  const lines = [`${place}: ${sentence(problem)}`]
  if (line !== undefined && showPlace) lines.push(showPlace(line, column ?? 1))
  if (problem.hint !== undefined) lines.push(`  hint: ${problem.hint}`)
  return lines.join('\n')
}

const sentence = (problem: Problem) =>
  problem.path === '' ? problem.message : `${problem.path} ${problem.message}`

/** A configuration that cannot be used, with everything that is wrong with it. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[]
  /** For the terminal: all problems with their lines. */
  readonly report: string

  constructor(problems: readonly Problem[], showPlace?: ShowPlace) {
    const [first] = problems
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
    super(first === undefined ? 'the configuration is wrong' : `${sentence(first)}${more}`)
    this.name = 'ConfigError'
    this.problems = problems
    this.report = formatProblems(problems, showPlace)
  }
}
