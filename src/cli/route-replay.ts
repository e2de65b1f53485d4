import { open } from 'node:fs/promises'
import { fromJson } from '../core/every-number.ts'
import type { ActionEntry, DecisionEntry } from '../routing/decision-entry.ts'
import { decidedAgain } from '../routing/replay.ts'
import { exit } from './exit-codes.ts'
import { data, say } from './talk.ts'

/** What was done by the log, and what is done now. */
interface Difference {
  readonly line: number
  readonly noted: readonly string[]
  readonly now: readonly string[]
}

interface Counts {
  decisions: number
  /** Of those, the ones for somebody who had just come and stood in no line. */
  newcomers: number
  /** And the ones for a second sending, of a request whose answer was late. */
  hedges: number
  /** And the ones about seats that batch work gave to people. */
  givings: number
  same: number
  different: number
  unreadable: number
  first: Difference | undefined
}

/** `chasqui route replay FILE`: makes every decision of a log once more. Exit code 1: not all came out the same. */
export async function routeReplay(path: string, asJson: boolean): Promise<number> {
  let counts: Counts
  try {
    counts = await replayFile(path)
  } catch (error) {
    say(`${path} can not be read: ${error instanceof Error ? error.message : String(error)}`)
    return exit.wrongUsage
  }
  if (asJson) data(JSON.stringify({ ...counts, first: counts.first ?? null }))
  else for (const line of countLines(counts)) data(line)
  return counts.different + counts.unreadable === 0 ? exit.done : exit.failed
}

async function replayFile(path: string): Promise<Counts> {
  const counts: Counts = {
    ...{ decisions: 0, newcomers: 0, hedges: 0, givings: 0, same: 0, different: 0, unreadable: 0 },
    first: undefined,
  }
  await using file = await open(path)
  let number = 0
  for await (const text of file.readLines()) {
    number++
    if (text === '') continue
    const made = madeAgain(text)
    if (!made) {
      counts.unreadable++
      continue
    }
    const { whose, actions, again } = made
    counts.decisions++
    if (whose === 'newcomer') counts.newcomers++
    if (whose === 'second sending') counts.hedges++
    if (whose === 'person') counts.givings++
    const [noted, now] = [wordsFor(actions, whose), wordsFor(again, whose)]
    if (noted.join('\n') === now.join('\n')) counts.same++
    else {
      counts.different++
      counts.first ??= { line: number, noted, now }
    }
  }
  return counts
}

/** Undefined: it is no decision, or one of another version; a line that a killed process has begun is one as well. */
function madeAgain(
  text: string,
): (Pick<DecisionEntry, 'actions'> & { whose: Whose; again: readonly ActionEntry[] }) | undefined {
  try {
    const entry = fromJson(text) as DecisionEntry
    return { whose: whoseOf(entry), actions: entry.actions, again: decidedAgain(entry) }
  } catch {
    return undefined
  }
}

/** Who was decided about. */
type Whose = 'newcomer' | 'second sending' | 'waiter' | 'person'

function whoseOf({ alone, waiting, givings }: DecisionEntry): Whose {
  if (givings) return 'person'
  if (!alone) return 'waiter'
  return waiting[0]?.need.beside === undefined ? 'newcomer' : 'second sending'
}

function wordsFor(actions: readonly ActionEntry[], whose: Whose): string[] {
  return actions.map(
    (action) =>
      `${whose === 'waiter' || whose === 'person' ? `${whose} ${action.waiting + 1}` : whose}: ${wordsOf(action)}`,
  )
}

function wordsOf({ kind, endpoint, asTry }: ActionEntry): string {
  if (kind === 'nobody') return 'nobody can serve it'
  if (kind === 'giveWay') return `gets the seat of batch work at ${endpoint}`
  if (kind === 'promise') return `waits for ${endpoint}`
  return `begins at ${endpoint}${asTry ? ', on a seat that is tried' : ''}`
}

function countLines({
  decisions,
  newcomers,
  hedges,
  givings,
  same,
  different,
  unreadable,
  first,
}: Counts): string[] {
  const seconds = hedges === 0 ? '' : `, ${hedges} about second sendings`
  const given = givings === 0 ? '' : `, ${givings} about seats that batch work gave to people`
  const lines = [
    `${decisions} decisions: ${same} the same, ${different} different`,
    `${newcomers} of them about newcomers${seconds}${given}, the others about those who waited`,
  ]
  if (unreadable > 0)
    lines.push(`${unreadable} lines could not be read: cut off, or written by another version`)
  if (!first) return lines
  const nothing = ['nothing']
  return [
    ...lines,
    `the first that differs is in line ${first.line}`,
    ...(first.noted.length === 0 ? nothing : first.noted).map((words) => `  noted  ${words}`),
    ...(first.now.length === 0 ? nothing : first.now).map((words) => `  now    ${words}`),
  ]
}
