import { ballot } from './ballot.ts'
import { CannotCombine, type Combiner } from './combiner.ts'
import { Few } from './few.ts'
import { Held } from './held.ts'
import { oneLine, partName } from './part-name.ts'

/** An answer in a report is there to be recognised. */
const shownCharsMax = 200

/** Answers that say the same, and how each was written. */
interface Camp {
  votes: number
  readonly spellings: Map<string, number>
}

/**
 * The answer that most parts gave, in the spelling that most of them used. Of as many, the one seen first: which of them
 * wins must not depend on who answered fastest.
 */
export function vote({ parts }: { readonly parts: number }): Combiner {
  const held = new Held()
  const missing = new Few<string>()
  const camps = new Map<string, Camp>()
  let failed = 0

  return {
    add(answer) {
      if ('failed' in answer) {
        failed++
        missing.add(partName(answer, parts))
        return ''
      }
      held.add(answer.text, answer.index)
      const key = ballot(answer.text)
      const camp = camps.get(key) ?? { votes: 0, spellings: new Map() }
      camps.set(key, camp)
      camp.votes++
      const spelling = answer.text.trim()
      camp.spellings.set(spelling, (camp.spellings.get(spelling) ?? 0) + 1)
      return ''
    },
    end() {
      const [winner] = byVotes(camps.values())
      if (winner === undefined) throw new CannotCombine('no part has an answer')
      return spellingOf(winner)
    },
    get notes() {
      const order = byVotes(camps.values())
      const votes = new Few<unknown>()
      const tie = new Few<string>()
      for (const camp of order) {
        votes.add({ answer: shown(camp), votes: camp.votes })
        if (camp.votes === order[0]!.votes) tie.add(shown(camp))
      }
      return {
        ...votes.noted('votes'),
        failed,
        ...missing.noted('missing'),
        ...(tie.first.length > 1 ? tie.noted('tie') : {}),
      }
    },
  }
}

/** Most votes first; the sort is stable, so that of as many the one seen first stays before. */
function byVotes(camps: Iterable<Camp>): Camp[] {
  return [...camps].sort((one, other) => other.votes - one.votes)
}

function spellingOf({ spellings }: Camp): string {
  const [[spelling] = ['']] = [...spellings].sort(([, one], [, other]) => other - one)
  return spelling
}

const shown = (camp: Camp) => oneLine(spellingOf(camp), shownCharsMax)
