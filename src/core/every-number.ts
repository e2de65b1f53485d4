/** What stands for a number that JSON does not know; nothing else of ours is an object with this one key. */
interface Named {
  readonly number: 'NaN' | 'Infinity' | '-Infinity'
}

/** As JSON, in which infinity and what is no number come through as well. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, nameNumber)
}

/** Throws a SyntaxError where the text is no JSON. */
export function fromJson(text: string): unknown {
  return JSON.parse(text, readNumber)
}

function nameNumber(_key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value
  return { number: String(value) } as Named
}

function readNumber(_key: string, value: unknown): unknown {
  return isNamed(value) ? Number(value.number) : value
}

function isNamed(value: unknown): value is Named {
  if (typeof value !== 'object' || value === null || !('number' in value)) return false
  return /^(NaN|-?Infinity)$/.test(String(value.number)) && Object.keys(value).length === 1
}
