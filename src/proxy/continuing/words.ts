/** The end of a text that a model may say once more: it begins with a word and ends with the text's last word. */
export interface Tail {
  readonly text: string
  /** The white space in front of it, one character; '' at the text's beginning. */
  readonly lead: string
}

/** How far back a repetition of several words is looked for. Requirement: the last 32 characters. */
const tailCharsMax = 32

/**
 * The last word, and from there on backwards what ends in it, shortest first. White space at the very end is not part
 * of any. A last word of any length counts; several words together only up to 32 characters.
 */
export function tailsOf(text: string): Tail[] {
  const tails: Tail[] = []
  // By hand: a pattern would go over every long word again and again, and some texts have no spaces at all.
  let end = text.length
  while (end > 0 && isSpace(text, end - 1)) end--
  for (let at = end; at > 0; ) {
    while (at > 0 && !isSpace(text, at - 1)) at--
    if (tails.length > 0 && end - at > tailCharsMax) break
    tails.push({ text: text.slice(at, end), lead: at === 0 ? '' : text.charAt(at - 1) })
    while (at > 0 && isSpace(text, at - 1)) at--
  }
  return tails
}

/** The ways to write a tail once more: with a space, with what stood in front of it, with nothing. */
export function writingsOf({ text, lead }: Tail): string[] {
  const spaced = [` ${text}`, text]
  return lead === '' || lead === ' ' ? spaced : [...spaced, lead + text]
}

/** The run of characters without white space that a text ends in, white space behind it left out; '' for none. */
export function lastWordOf(text: string): string {
  return tailsOf(text)[0]?.text ?? ''
}

function isSpace(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  if (code < 128) return code === 32 || (code >= 9 && code <= 13)
  return /\s/.test(text.charAt(at))
}
