/**
 * JSON with the text of its numbers kept. Read as doubles, 12345678901234567890 would come out as ...7000 and 1.0 as 1;
 * a combiner has no business changing what a model said. Our compiler's library does not know these parts of V8 yet.
 */
interface ExactJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown
  rawJSON(text: string): { readonly rawJSON: string }
  isRawJSON(value: unknown): value is { readonly rawJSON: string }
}
const exactJson = JSON as unknown as ExactJson

export type JsonObject = Record<string, unknown>

/**
 * Reads JSON; numbers come as objects that JSON.stringify writes as they were. Throws SyntaxError, or RangeError for what
 * is nested too deeply.
 */
export function parseExact(text: string): unknown {
  return exactJson.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? exactJson.rawJSON(source) : value,
  )
}

export function isObject(value: unknown): value is JsonObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !exactJson.isRawJSON(value)
  )
}

/** One text for all that means the same: keys in order, numbers by their value. */
export function canonical(value: unknown): string {
  if (exactJson.isRawJSON(value)) return canonicalNumber(value.rawJSON)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value)
  const entries = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
  return `{${entries.join(',')}}`
}

const number = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,12}))?$/

/**
 * 1, 1.0, 10e-1 → `1e0`: the digits without the zeros around them, and the power of ten. Exact at any length, where
 * doubles would call two large numbers the same. What is no JSON number comes back as it is.
 */
export function canonicalNumber(text: string): string {
  const found = number.exec(text)
  if (found === null) return text
  const [, sign, whole = '', fraction = '', power = '0'] = found
  let digits = whole + fraction
  let end = digits.length
  while (end > 0 && digits[end - 1] === '0') end--
  const exponent = Number(power) - fraction.length + digits.length - end
  let start = 0
  while (start < end && digits[start] === '0') start++
  digits = digits.slice(start, end)
  return digits === '' ? '0' : `${sign}${digits}e${exponent}`
}
