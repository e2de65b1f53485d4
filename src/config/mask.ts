/** What stands where a secret was. */
export const masked = '***'

/**
 * Text as it may be printed: a URL in it without name, password and query. Up to the last @, since a password may hold
 * one; and what stands where a port should be may be the first half of a password.
 */
export function maskUrl(words: string): string {
  const at = words.lastIndexOf('@')
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(words)?.[0] ?? ''
  const bare = at < 0 ? words : `${scheme}${masked}@${words.slice(at + 1)}`
  if (scheme === '') return bare.includes('://') ? bare.replace(/\?.*$/, `?${masked}`) : bare
  return bare
    .replace(/\?.*$/, `?${masked}`)
    .replace(/^([^/]*\/\/[^/:[\]]*:)(?!\d+(?:\/|$)).*$/, `$1${masked}`)
}
