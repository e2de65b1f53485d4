import type { Manner } from './manner.ts'
import { tailsOf, writingsOf } from './words.ts'

/** What is held of a leg before its manner is decided, in characters. */
const heldCharsMax = 64
/** Less of an answer than this comes again by chance. */
const beginningCharsMin = 3
/** A repetition written without a space must be longer than the syllables that languages double (bonbon, murmur). */
const joinedCharsMin = 6
/** A "word" this long is a text without spaces; what follows its repetition needs no border. */
const longWordChars = 16

/**
 * How a leg goes on behind `before`, from its first characters, for a model that nobody has measured; undefined: too
 * early to tell. A pure guess, and careful: in doubt the leg is taken as it is. It is wrong
 * - where a text itself goes on like its own beginning, a refrain for instance: that is taken for a new beginning, and
 *   left out if `before` is all of it (up to 64 characters), or the leg ends as diverged;
 * - where a word of two or more characters is rightly said twice ("had had") and was not so before: one is lost;
 * - where a model adds a space in the middle of a word: that looks like a new word, and the space stays;
 * - where two spaces, a space at the end of a line, or one in front of a full stop are meant, and `before` shows no
 *   other: one is lost;
 * - where a model says one letter, a bare number or a sign twice: it stays doubled;
 * - where the whole leg is no more than a space, or the beginning of the words before it: it is left out;
 * - where a model goes on with words of another answer: nothing tells those from the right ones.
 */
export function guessManner(before: string, held: string, isOver: boolean): Manner | undefined {
  if (before === '') return 'exact'
  if (held === '') return isOver ? 'exact' : undefined
  const anew = beginning(before, held, isOver)
  if (isManner(anew)) return anew
  if (anew === 'wait') return undefined
  const twice = repetition(before, held, isOver)
  if (isManner(twice)) return twice
  if (twice === 'wait' && held.length < heldCharsMax) return undefined
  const space = addedSpace(before, held, isOver)
  if (isManner(space)) return space
  return space === 'wait' ? undefined : 'exact'
}

type Look = Manner | 'no' | 'wait'

function isManner(look: Look): look is Manner {
  return look !== 'no' && look !== 'wait'
}

function beginning(before: string, held: string, isOver: boolean): Look {
  if (before.length < beginningCharsMin || !isWordy(before)) return 'no'
  const known = before.slice(0, heldCharsMax)
  if (held.startsWith(known)) return 'from-the-beginning'
  if (!known.startsWith(held)) return 'no'
  // A leg that said some of it again and ended: letting that out would double it.
  if (isOver) return held.length >= beginningCharsMin ? 'from-the-beginning' : 'no'
  return 'wait'
}

function repetition(before: string, held: string, isOver: boolean): Look {
  let look: Look = 'no'
  for (const tail of tailsOf(before).filter(({ text }) => mayRepeat(before, text))) {
    for (const writing of writingsOf(tail)) {
      const joined = writing === tail.text && !/\s$/.test(before)
      if (joined && tail.text.length < joinedCharsMin) continue
      if (held.startsWith(writing)) {
        const next = held.slice(writing.length, writing.length + 2)
        if (next === '' && !isOver) look = 'wait'
        else if (writing.length >= longWordChars || !goesOn(tail.text, next))
          return 'repeats-the-last-word'
      } else if (writing.startsWith(held)) {
        // As much of a very long word as may be held, or all that a leg said which ended there: nothing new.
        if (isOver || held.length >= heldCharsMax) return 'repeats-the-last-word'
        look = 'wait'
      }
    }
  }
  return look
}

/** Signs, numbers, single letters, or a text that doubles words anyway: no sign of a model that repeats itself. */
function mayRepeat(before: string, words: string): boolean {
  return /\p{L}[\p{L}\p{M}]/u.test(words) && !before.trimEnd().endsWith(`${words} ${words}`)
}

/** "sun" in "sunlight" is no repetition of "sun". */
function goesOn(word: string, next: string): boolean {
  return /[\p{L}\p{N}]$/u.test(word) && /^[\p{L}\p{N}\p{M}]/u.test(next)
}

function addedSpace(before: string, held: string, isOver: boolean): Look {
  if (!held.startsWith(' ')) return 'no'
  const last = before.at(-1) ?? ''
  const [, second = '', third = ''] = [...held.slice(0, 5)]
  const needsThird = second === ' ' || second === '.' || second === ','
  if (second === '' || (needsThird && third === '')) {
    if (!isOver) return 'wait'
    // Too little to tell, and the leg is over: a space that is lost is not seen, one too many could be.
    if (second === '' || second === ' ') return 'adds-a-space'
  }
  const doubles = isDoubling({ before, last, second, third })
  return doubles ? 'adds-a-space' : 'no'
}

interface Start {
  readonly before: string
  readonly last: string
  /** The characters behind the leg's first space. */
  readonly second: string
  readonly third: string
}

function isDoubling({ before, last, second, third }: Start): boolean {
  const line = before.slice(before.lastIndexOf('\n') + 1)
  // An indentation has as many spaces as it likes.
  if (last === ' ') return line.trim() !== '' && isWordy(second)
  if (last === '\n') return /^\p{Lu}$/u.test(second) && !/^ \S/m.test(before)
  if (/\s/.test(last)) return false
  if (second === ' ') return isWordy(third) && !/\S {2}\S/.test(before)
  if (second === '\n') return !/ \n/.test(before)
  if (second === '.' || second === ',')
    return isWordy(last) && (third === '' || /\s/.test(third)) && !/ [.,](\s|$)/.test(before)
  return false
}

function isWordy(text: string): boolean {
  return /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(text)
}
