import { didYouMean } from '../core/did-you-mean.ts'
import type { Fault } from './fault.ts'
import { maskUrl } from './mask.ts'

export interface BackendUrl {
  readonly origin: string
  readonly pathPrefix: string
  readonly host: string
  readonly port: number
  /** From a name and a password in the URL. Secret. */
  readonly authorization: string | undefined
}

const usualPort = 11434

export function readBackendUrl(words: string): BackendUrl | Fault {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(words)?.[1]?.toLowerCase()
  if (scheme === undefined)
    return { message: 'must start with http:// or https://', hint: mended(words) }
  if (scheme !== 'http' && scheme !== 'https') {
    const meant = didYouMean(scheme, ['https', 'http'])
    const rest = maskUrl(words).slice(scheme.length)
    return {
      message: 'must start with http:// or https://',
      hint: meant === undefined ? undefined : `did you mean "${meant}${rest}"?`,
    }
  }
  if (/\s/.test(words)) return { message: 'must be a URL without spaces' }

  const port = /^[^/?#]*:(\d+)$/.exec(authorityOf(words))?.[1]
  if (port !== undefined && (Number(port) > 65_535 || Number(port) < 1))
    return { message: 'has a port that is out of range: 1 to 65535' }
  if (!URL.canParse(words))
    return { message: `must be a URL such as http://192.168.1.20:${usualPort}` }

  const url = new URL(words)
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(words))
    return { message: 'must be a URL that ends with its path, without ? and #' }
  if (url.pathname.includes('@'))
    return {
      message: 'has an @ in its path',
      hint: 'in a name or password write / as %2F and @ as %40',
    }
  const authorization = basicAuthorization(url)
  if (authorization === null)
    return { message: 'has a name or password with a broken % code', hint: 'write a % as %25' }
  return {
    origin: url.origin,
    pathPrefix: url.pathname.replace(/\/+$/, ''),
    host: url.hostname,
    port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    authorization,
  }
}

/** What stands between the scheme and the path, without name and password. */
const authorityOf = (words: string) =>
  words
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/[/?#].*$/, '')
    .replace(/^.*@/, '')

function mended(words: string): string | undefined {
  const rest = maskUrl(words).replace(/^\/+/, '').trim()
  if (!/^(\*\*\*@)?(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d+)?(\/\S*)?$/i.test(rest)) return undefined
  const [authority = '', ...path] = rest.split('/')
  const withPort = /:\d+$/.test(authority) ? authority : `${authority}:${usualPort}`
  return `write "http://${[withPort, ...path].join('/')}"`
}

function basicAuthorization(url: URL): string | undefined | null {
  if (url.username === '' && url.password === '') return undefined
  try {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
    return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`
  } catch {
    return null
  }
}
