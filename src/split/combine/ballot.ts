import { fenced } from './fenced.ts'
import { canonical, canonicalNumber, parseExact } from './json-text.ts'

/** What answers that say the same have in common: case, quotes, marks of emphasis and a full stop say nothing. */
export function ballot(answer: string): string {
  const text = fenced(answer).trim()
  const value = canonicalJson(text)
  if (value !== undefined) return value
  const bare = withoutTrimmings(flat(text))
  // An answer of nothing but marks is told apart by its marks.
  return bare === '' ? text : canonicalNumber(bare)
}

/** Arrays and objects only: a text in quotes or a number says the same without JSON. */
function canonicalJson(text: string): string | undefined {
  if (!/^[[{]/.test(text)) return undefined
  try {
    return canonical(parseExact(text))
  } catch {
    // No JSON, or nested too deeply to be compared as such: its letters are compared.
    return undefined
  }
}

/** Upper case folds more than lower case does: ß and ss, both small sigmas. */
function flat(text: string): string {
  return text
    .replace(emphasis, '$2')
    .toUpperCase()
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/gu, ' ')
}

/**
 * `**word**`, `*word*`, `__word__`, `_word_`, with nothing of a word on its outer sides. The bound keeps a text of a
 * million stars from being searched to its end from each of them; what is emphasised is a few words.
 */
const emphasis =
  /(?<![\p{L}\p{N}*_])(\*{1,3}|_{1,3})(?=[^\s*_])(.{1,200}?)(?<=[^\s*_])\1(?![\p{L}\p{N}*_])/gsu

const pairs: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '`': '`',
  '“': '”',
  '„': '“',
  '‘': '’',
  '«': '»',
  '‹': '›',
}

/** Takes off quotes around the whole and `.` and `!` behind it, in whatever order they come. */
function withoutTrimmings(text: string): string {
  let [start, end] = [0, text.length]
  for (;;) {
    const length = end - start
    while (start < end && text[start] === ' ') start++
    while (start < end && ' .!'.includes(text[end - 1]!)) end--
    if (end - start >= 2 && pairs[text[start]!] === text[end - 1]) {
      start++
      end--
    }
    if (end - start === length) return text.slice(start, end)
  }
}
