/** What both readers of heads ask of a field (RFC 9110 section 5), and whoever writes one. */

const space = 0x20
const tab = 0x09
const zero = 0x30

/** A value without the optional space around it, which is spaces and tabs only (RFC 9110 5.6.3). */
export function withoutSpace(text: string, begin: number, end: number): string {
  let from = begin
  let to = end
  while (from < to && isSpace(text.charCodeAt(from))) from++
  while (to > from && isSpace(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

const isSpace = (code: number) => code === space || code === tab

/** The value of Content-Length: up to 15 digits, which a number holds exactly, and nothing else. */
export function lengthOf(value: string): number | undefined {
  if (value.length === 0 || value.length > 15) return undefined
  let length = 0
  for (let index = 0; index < value.length; index++) {
    const digit = value.charCodeAt(index) - zero
    if (digit < 0 || digit > 9) return undefined
    length = length * 10 + digit
  }
  return length
}

/** Whether it is this name, whatever the case of its letters; `title` is how nearly everybody writes it. */
export function isNamed(name: string, title: string, lower: string): boolean {
  return name === title || name.toLowerCase() === lower
}
