/**
 * What a stream of bytes asks for, read by the letter of RFC 9112 and refusing wherever the letter leaves a choice. It
 * shares nothing with the readers of the proxy: it is what they are held against.
 */
export interface Meant {
  readonly method: string
  /** In origin-form. */
  readonly target: string
  /** Byte for byte, in Latin-1, without the framing of chunks. */
  readonly body: string
}

export interface Reading {
  readonly requests: readonly Meant[]
  /**
   * `clean`: nothing is left over. `cut`: more must come. `over`: the last one said that it is the last. `broken`: what
   * follows is no request, or could be two different ones.
   */
  readonly end: 'clean' | 'cut' | 'over' | 'broken'
  readonly why: string
  /** Of what is `cut` or `broken`, as far as it has one. */
  readonly nextMethod: string
  /**
   * One of them wants another protocol and comes in chunks. The parser of Node says nothing of an error in such a body,
   * so that the proxy waits for its rest until the client leaves; nothing of it is sent on.
   */
  readonly mayWait: boolean
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** A tunnel is none: what follows would be its own. */
const methods = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE)$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

export function readStream(text: string): Reading {
  const requests: Meant[] = []
  let mayWait = false
  for (let at = 0; ; ) {
    // Empty lines before a request are to be passed over (section 2.2), and nobody finds anything else in them.
    while (text[at] === '\r' || text[at] === '\n') at++
    if (at === text.length) return { requests, end: 'clean', why: '', nextMethod: '', mayWait }
    const nextMethod = /^\S*/.exec(text.slice(at, at + 20))?.[0] ?? ''
    const read = readRequest(text, at)
    mayWait ||= wantsOther(text.slice(at).split('\r\n\r\n', 1)[0]!)
    if (read === undefined) return { requests, end: 'cut', why: '', nextMethod, mayWait }
    if (typeof read === 'string') return { requests, end: 'broken', why: read, nextMethod, mayWait }
    requests.push(read.meant)
    if (read.isLast) return { requests, end: 'over', why: '', nextMethod: '', mayWait }
    at = read.next
  }
}

const wantsOther = (head: string) =>
  [/\nupgrade[\t ]*:/i, /\nconnection:.*upgrade/i, /\ntransfer-encoding/i].every((field) =>
    field.test(head),
  )

interface Read {
  readonly meant: Meant
  readonly next: number
  readonly isLast: boolean
}

function readRequest(text: string, begin: number): Read | string | undefined {
  const end = text.indexOf('\r\n\r\n', begin)
  if (end < 0) return undefined
  const [first = '', ...lines] = text.slice(begin, end).split('\r\n')
  // More spaces than one leave no choice either (section 3).
  const line = /^(\S+) +([\x21-\x7e]+) +HTTP\/1\.([01])$/.exec(first)
  if (!line) return 'no request line'
  const [, method = '', asked = '', minor] = line
  if (!methods.test(method)) return 'no method'
  const target = originForm(asked, method)
  if (target === undefined) return 'no target'

  const fields: [string, string][] = []
  for (const each of lines) {
    const colon = each.indexOf(':')
    const name = each.slice(0, colon)
    if (colon < 0 || !token.test(name)) return 'no field'
    const value = each.slice(colon + 1)
    if (!fieldValue.test(value)) return 'a control character'
    fields.push([name.toLowerCase(), value.replace(/^[\t ]+|[\t ]+$/g, '')])
  }
  const named = (wanted: string) => fields.filter(([name]) => name === wanted).map(([, v]) => v)

  const hosts = named('host').length
  if (hosts > 1 || (hosts === 0 && minor === '1')) return 'not one Host'
  const said = named('connection').flatMap((value) => value.toLowerCase().split(/[\t ]*,[\t ]*/))
  const isLast = said.includes('close') || (minor === '0' && !said.includes('keep-alive'))
  const [lengths, encodings] = [named('content-length'), named('transfer-encoding')]
  const from = end + 4
  if (encodings.length > 0) {
    if (lengths.length > 0) return 'a length and an encoding'
    if (minor === '0') return 'chunks in HTTP/1.0'
    if (encodings.length > 1 || encodings[0]!.toLowerCase() !== 'chunked') return 'an odd encoding'
    const read = readChunks(text, from)
    if (read === undefined || typeof read === 'string') return read
    return { meant: { method, target, body: read.body }, next: read.next, isLast }
  }
  if (lengths.length > 1) return 'several lengths'
  const [length = '0'] = lengths
  if (!/^\d{1,15}$/.test(length)) return 'no length'
  const next = from + Number(length)
  if (text.length < next) return undefined
  return { meant: { method, target, body: text.slice(from, next) }, next, isLast }
}

function originForm(asked: string, method: string): string | undefined {
  if (asked.includes('#')) return undefined
  if (asked.startsWith('/') || (asked === '*' && method === 'OPTIONS')) return asked
  const [, rest] = /^https?:\/\/[^/?@\\]+((?:[/?].*)?)$/i.exec(asked) ?? []
  if (rest === undefined) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}

function readChunks(
  text: string,
  begin: number,
): { body: string; next: number } | string | undefined {
  let body = ''
  for (let at = begin; ; ) {
    const line = lineFrom(text, at)
    if (line === undefined) return undefined
    const size = /^([0-9a-fA-F]{1,12})(?:[\t ]*;(?:[^"]|"[^"]*")*)?$/.exec(line)
    if (!size || !fieldValue.test(line)) return 'no chunk size'
    at += line.length + 2
    const bytes = Number.parseInt(size[1]!, 16)
    if (bytes === 0) return afterTrailers(text, at, body)
    if (text.length < at + bytes) return undefined
    body += text.slice(at, at + bytes)
    at += bytes
    const after = text.slice(at, at + 2)
    if (!'\r\n'.startsWith(after)) return 'no end of a chunk'
    if (after.length < 2) return undefined
    at += 2
  }
}

function afterTrailers(text: string, begin: number, body: string) {
  for (let at = begin; ; ) {
    const line = lineFrom(text, at)
    if (line === undefined) return undefined
    at += line.length + 2
    if (line === '') return { body, next: at }
    const colon = line.indexOf(':')
    if (!token.test(line.slice(0, colon)) || !fieldValue.test(line.slice(colon + 1)))
      return 'no trailer'
  }
}

/** Up to its CRLF; undefined: that has not come. */
function lineFrom(text: string, at: number): string | undefined {
  const end = text.indexOf('\r\n', at)
  return end < 0 ? undefined : text.slice(at, end)
}
