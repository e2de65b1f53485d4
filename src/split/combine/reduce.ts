import { CannotCombine, type Combiner, type PartAnswer } from './combiner.ts'
import { Few } from './few.ts'
import { Held } from './held.ts'
import { partName } from './part-name.ts'
import { grouped, type Piece, pieceOf, pieceOfMany, promptOf, type Scale } from './reduce-groups.ts'

/** Which of the calls this is. */
export interface ReduceCall {
  /** From 1, the one that sees the parts' own answers. */
  readonly level: number
  /** From 1 to `groups`, in the order of the input. */
  readonly group: number
  readonly groups: number
}

export interface ReduceOptions {
  /** How many parts there are in all. */
  readonly parts: number
  /** Asks a model. All groups of a level are asked at once: how many really run is the caller's to bound. */
  readonly ask: (prompt: string, call: ReduceCall) => Promise<string>
  readonly tokensOf: (text: string) => number
  /** What one prompt may weigh. */
  readonly tokensMax: number
  /** What the model is told to do with the answers; undefined: to make one answer of them. */
  readonly instruction: string | undefined
  /** What the parts were asked, for the model to know what the answers are about. */
  readonly question: string | undefined
}

const defaultInstruction = `Below are answers that were given to consecutive parts of one input, in the order of the input. Make one answer of them, as if the input had been answered as a whole.
Keep everything that matters and its order, say nothing twice, and add nothing of your own.
Where a part is marked as missing, say briefly that it is missing.
Write in the language of the answers. Give only the answer itself, without a word about parts.`

/** Lets a model make one answer of many, by as many rounds as it takes for them to fit. */
export function reduce(options: ReduceOptions): Combiner {
  const held = new Held()
  const missing = new Few<string>()
  const answers: PartAnswer[] = []
  let levels = 0
  let calls = 0

  const scale: Scale = {
    head: headOf(options),
    parts: options.parts,
    tokensOf: options.tokensOf,
    tokensMax: options.tokensMax,
  }

  async function nextLevel(pieces: readonly Piece[]): Promise<Piece[]> {
    const groups = grouped(pieces, scale)
    // A model that is shown nothing but holes would fill them.
    const asked = groups.filter((group) => group.length > 1 && !group.every(({ hole }) => hole))
    levels++
    calls += asked.length
    const level = levels
    const heldNow = new Held()
    return Promise.all(
      groups.map(async (group) => {
        if (group.length === 1) return group[0]!
        if (!asked.includes(group))
          return pieceOfMany(group, group.map(({ text }) => text).join('\n'), scale)
        const call = { level, group: asked.indexOf(group) + 1, groups: asked.length }
        const text = await options.ask(promptOf(group, scale), call)
        heldNow.add(text)
        return pieceOfMany(group, text, scale)
      }),
    )
  }

  return {
    add(answer) {
      if ('failed' in answer) missing.add(partName(answer, options.parts))
      else held.add(answer.text, answer.index)
      answers.push(answer)
      return ''
    },
    async end() {
      if (answers.every((answer) => 'failed' in answer))
        throw new CannotCombine('no part has an answer')
      let pieces = answers.map((answer) => pieceOf(answer, scale))
      while (pieces.length > 1) pieces = await nextLevel(pieces)
      return pieces[0]!.text
    },
    get notes() {
      return { levels, calls, ...missing.noted('missing') }
    },
  }
}

function headOf({ instruction, question }: ReduceOptions): string {
  const about = question === undefined ? '' : `\n\nEach part was asked this:\n${question.trim()}`
  return `${(instruction ?? defaultInstruction).trim()}${about}\n`
}
