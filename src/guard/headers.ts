/** Request headers as Node gives them: lower-case names. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A header's value; the first one where it came more than once. */
export function headerOf(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'object' ? value[0] : value
}

/** The token of `Authorization: Bearer …`. */
export function bearerOf(headers: RequestHeaders): string | undefined {
  return /^bearer +(\S+) *$/i.exec(headerOf(headers, 'authorization') ?? '')?.[1]
}
