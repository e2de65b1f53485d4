import type { IncomingMessage } from 'node:http'

/** A request-target that no server must take (RFC 9112 section 3 asks for 8,000 octets at least). */
export const targetLengthMax = 8_192
/** Fields of a head. Clients send about twenty; `node:http` drops what comes behind the two thousandth without a word. */
export const fieldsMax = 200

export interface Refusal {
  readonly status: 400 | 414 | 431 | 501
  readonly why: string
}

const absoluteForm = /^https?:\/\/([^/?#@\\]+)(?:([/?][^#]*))?$/i

/**
 * `node:http` lets through what two readers could take in different senses. Here it gets one meaning, or none:
 * undefined, and the request stands there in origin-form with one Host; or why it is refused, and then nothing that
 * follows on its connection may be believed either.
 */
export function giveOneMeaning(request: IncomingMessage): Refusal | undefined {
  const { rawHeaders, url = '' } = request
  if (url.length > targetLengthMax) return { status: 414, why: 'the request-target is too long' }
  if (rawHeaders.length > 2 * fieldsMax) return { status: 431, why: 'there are too many fields' }
  // The parser takes 0.9 and 2.0 for versions, too, and reads on as if they were 1.1.
  if (request.httpVersionMajor !== 1) return unclear('only HTTP/1.1 is spoken here')

  let hosts = 0
  let hostAt = -1
  let coding: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (name.length === 4 && name.toLowerCase() === 'host') {
      hosts++
      hostAt = index
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      const value = rawHeaders[index + 1]!
      coding = coding === undefined ? value : `${coding}, ${value}`
    }
  }
  if (hosts > 1) return unclear('there is more than one Host')
  if (hosts === 0 && request.httpVersionMinor > 0) return unclear('there is no Host')
  if (coding !== undefined) {
    // Whoever knows 1.0 only would take the chunks for the body (RFC 9112 section 6.1).
    if (request.httpVersionMinor === 0) return unclear('HTTP/1.0 knows no Transfer-Encoding')
    if (coding.toLowerCase() !== 'chunked')
      return { status: 501, why: 'chunked is the only transfer coding that is understood' }
  }

  if (url.includes('#')) return unclear('a request-target has no fragment')
  if (url.startsWith('/') || (url === '*' && request.method === 'OPTIONS')) return undefined
  const [, authority, rest = '/'] = absoluteForm.exec(url) ?? []
  if (authority === undefined) return unclear('the request-target is none')
  // What it says of the host holds, and the Host field is written anew (RFC 9112 section 3.2.2).
  if (hostAt < 0) rawHeaders.push('Host', authority)
  else rawHeaders[hostAt + 1] = authority
  request.headers.host = authority
  request.url = rest.startsWith('/') ? rest : `/${rest}`
  return undefined
}

function unclear(why: string): Refusal {
  return { status: 400, why }
}
