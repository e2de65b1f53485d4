import { segmentEnds } from './segments.ts'

/** Whether what lies from `start` to before `end` has to be cut finer. */
export type IsTooLarge = (start: number, end: number) => boolean

/** A word longer than this is a text without spaces (Chinese, Thai, base64); its words are found by a dictionary. */
const wordUnitsMax = 64

/** What joins the character before it and so may not begin a part. */
const joinsBefore = /[\p{M}\p{Grapheme_Extend}\p{Emoji_Modifier}\u0e33\u0eb3]|\u200d/u

/**
 * Where words end, with the white space behind them; within words that are too large, where the characters do. What
 * a reader sees as one character is never cut.
 */
export function wordEnds(
  text: string,
  start: number,
  end: number,
  isTooLarge: IsTooLarge,
): number[] {
  const ends: number[] = []
  let wordStart = start
  for (let at = start + 1; at <= end; at++) {
    if (at < end && !beginsWord(text, at)) continue
    if (at - wordStart <= wordUnitsMax && !isTooLarge(wordStart, at)) ends.push(at)
    else for (const inner of innerEnds(text, wordStart, at, isTooLarge)) ends.push(inner)
    wordStart = at
  }
  return ends
}

function beginsWord(text: string, at: number): boolean {
  if (!isSpace(text.charCodeAt(at - 1))) return false
  const code = text.charCodeAt(at)
  if (code < 0x80) return !isSpace(code)
  return !joinsBefore.test(String.fromCodePoint(text.codePointAt(at)!))
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0x3000
}

/** A dictionary's words may end within a character (a joined emoji), so both are asked. */
function innerEnds(text: string, start: number, end: number, isTooLarge: IsTooLarge): number[] {
  const characters = segmentEnds(
    new Intl.Segmenter('en', { granularity: 'grapheme' }),
    text,
    start,
    end,
  )
  const words = segmentEnds(new Intl.Segmenter('en', { granularity: 'word' }), text, start, end)
  const ends: number[] = []
  let wordStart = start
  let character = 0
  for (const wordEnd of words) {
    const firstCharacter = character
    while (characters[character]! < wordEnd) character++
    if (characters[character] !== wordEnd) {
      character = firstCharacter
      continue
    }
    character++
    if (isTooLarge(wordStart, wordEnd))
      for (let each = firstCharacter; each < character; each++) ends.push(characters[each]!)
    else ends.push(wordEnd)
    wordStart = wordEnd
  }
  return ends
}
