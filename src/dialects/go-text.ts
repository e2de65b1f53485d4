/**
 * The words that Go's standard library uses in its errors. Ollama hands them to clients as they are, so an answer of
 * ours for the same fault reads the same. Sources: Go strconv/quote.go, encoding/json/scanner.go and decode.go.
 */

const shortEscapes: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
}

/** Go's `%q`: a string in double quotes, with escapes for what cannot be printed. */
export function goQuoted(text: string): string {
  let quoted = '"'
  for (const char of text.toWellFormed()) quoted += escaped(char)
  return `${quoted}"`
}

/** A byte as `encoding/json` names it in a syntax error. */
export function goByte(byte: number): string {
  if (byte === 0x27) return `'\\''`
  if (byte === 0x22) return `'"'`
  return `'${escaped(String.fromCharCode(byte))}'`
}

/** `invalid character '}' looking for beginning of value` and its sisters. */
export function goSyntaxText(byte: number, context: string): string {
  return `invalid character ${goByte(byte)} ${context}`
}

function escaped(char: string): string {
  const short = shortEscapes[char]
  if (short !== undefined) return short
  const code = char.codePointAt(0) ?? 0
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`
  if (code < 0x7f || isPrintable(char)) return char
  const wide = code > 0xffff
  return `\\${wide ? 'U' : 'u'}${code.toString(16).padStart(wide ? 8 : 4, '0')}`
}

const isPrintable = (char: string) => /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(char)
