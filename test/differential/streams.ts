import fc from 'fast-check'

/** What a client sends on one connection. `#####` stands for a text of five letters that only this stream has. */
export interface Stream {
  /** Latin-1, one for each request as it was made up; what a server sees in them is another matter. */
  readonly pieces: readonly string[]
  /** Each piece waits until all before it has been answered. */
  readonly patient: boolean
  /** Where the bytes are cut into segments: thousandths of each piece's length. */
  readonly cuts: readonly number[]
}

export const placeholder = '#####'

/** Mostly the first, which is also what a counterexample shrinks to. */
function mostly<T>(usual: T, weight: number, ...others: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight, arbitrary: fc.constant(usual) },
    { weight: 10, arbitrary: fc.constantFrom(...others) },
  )
}

/** One of so many has it. */
function seldom<T>(arbitrary: fc.Arbitrary<T>, oneOf: number): fc.Arbitrary<T | undefined> {
  return fc.oneof(
    { weight: oneOf - 1, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary },
  )
}

// --- the request line ---

const hot = ['POST', '/api/generate'] as const
const asked: readonly (readonly [method: string, path: string])[] = [
  ['POST', '/api/chat'],
  ['POST', '/v1/chat/completions'],
  ['POST', '/api/show'],
  ['POST', '/api/me'],
  ['GET', '/api/version'],
  ['HEAD', '/api/tags'],
  ['GET', '/livez'],
  ['POST', '/nowhere'],
  ['PUT', '/api/generate'],
  ['GET', '/debug/pprof'],
  ['POST', '/api/%2e%2e/api/generate'],
  ['POST', '/api/../api/generate'],
  ['POST', '//api//generate/'],
  ['POST', '/api/generate;x'],
  ['POST', 'http://localhost/api/generate'],
  ['POST', 'http://evil.example/api/generate'],
  ['POST', 'HTTP://localhost:80/api/generate'],
  ['OPTIONS', '/api/generate'],
  ['TRACE', '/api/generate'],
  ['CONNECT', '/api/generate'],
  ['CONNECT', 'localhost:80'],
  ['OPTIONS', '*'],
  ['post', '/api/generate'],
  ['PRI', '*'],
]
const version = mostly('HTTP/1.1', 200, 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'http/1.1')

// --- the fields ---

const host = mostly(
  ['Host: localhost'],
  100,
  [],
  ['Host: localhost', 'Host: localhost'],
  ['Host: localhost', 'host: evil.example'],
  ['Host: evil.example'],
  ['Host:'],
  ['Host : localhost'],
  ['Host: localhost, evil.example'],
)
/** What every client may say. */
const usual = fc.constantFrom(
  ...['A: b', 'X-Empty:', 'X-Tabs:\t a \t', 'Content-Type: application/json', 'Accept: */*'],
  ...['Connection: keep-alive', 'Connection: Content-Length', 'Keep-Alive: timeout=1'],
  ...['Connection: transfer-encoding, host', 'TE: trailers', 'Trailer: X-T', 'X: \x80\xff'],
  ...['Upgrade: h2c', 'Connection: upgrade', 'Upgrade: websocket', 'HTTP2-Settings: AAMAAABk'],
  ...['Expect: 100-continue', 'Transfer_Encoding: chunked', 'Content_Length: 1'],
  ...['Content-Length-X: 1', 'X-Forwarded-For: 1.2.3.4', 'X-Http-Method-Override: DELETE'],
  ...['X-Original-URL: /debug/pprof', '__proto__: a', `X-Long: ${'l'.repeat(3_000)}`],
)
/** What few would, and nobody who means well. */
const odd = fc.constantFrom(
  ...['Connection: close', 'Connection: Content-Length, close', 'Proxy-Connection: close'],
  ...['Expect: something', 'Content-Encoding: zstd', 'Content-Encoding: gzip'],
  ...['A: b\r\n c', ' Transfer-Encoding: chunked', 'X\x00: a', 'X: a\x00b', 'X: a\rb', 'X: a\nb'],
  ...[': nameless', 'no colon', 'X : a', '\tX: a', 'X:a\x0b', 'X: a\x7f', '\xffX: a'],
  ...['Content-Length\x00: 1', 'Transfer-Encoding\t: chunked'],
)
const others = fc
  .tuple(fc.array(usual, { maxLength: 2 }), seldom(odd, 12))
  .map(([more, one]) => (one === undefined ? more : [...more, one]))

// --- the body, and how its end is told ---

interface Framed {
  readonly fields: readonly string[]
  readonly bytes: string
}

const hex = (count: number) => count.toString(16)
const chunk = (text: string, size = hex(text.length)) => `${size}\r\n${text}\r\n`
const chunkedField = 'Transfer-Encoding: chunked'

/** Two chunks, and their end. */
function chunks(body: string, at: number): string {
  const cut = 1 + (at % Math.max(1, body.length - 1))
  const [head, rest] = [body.slice(0, cut), body.slice(cut)]
  return `${chunk(head)}${rest === '' ? '' : chunk(rest)}0\r\n\r\n`
}

function honest(body: string, at: number): readonly Framed[] {
  const length = `Content-Length: ${body.length}`
  return [
    { fields: [length], bytes: body },
    { fields: [length], bytes: body },
    { fields: [length.toLowerCase()], bytes: body },
    { fields: [chunkedField], bytes: chunks(body, at) },
    { fields: ['transfer-encoding:chunked'], bytes: chunks(body, at) },
  ]
}

/** What could be read in two ways, and what only looks so. */
function borderline(body: string, at: number): readonly Framed[] {
  const { length } = body
  const inChunks = chunks(body, at)
  const lengths = [
    ...[`+${length}`, `-${length}`, `${length}, ${length}`, `${length},3`, `0${length}`],
    ...[`${length} `, `\t${length}`, `${length}.0`, `0x${hex(length)}`, `${length} 1`, ''],
    ...['99999999999999999999', '18446744073709551616', `${length}\x0b`, `"${length}"`],
  ]
  const encodings = [
    ...['Chunked', 'CHUNKED', 'xchunked', 'chunked, identity', 'identity', 'gzip, chunked'],
    ...['chunked, chunked', ',chunked', 'chunked,', '"chunked"', 'chunked;q=1', 'chunked\t', ''],
    ...['\x0bchunked', 'chun\x00ked', 'cow', 'chunked gzip', '\tchunked'],
  ]
  const sizes = [
    ...[`0x${hex(length)}`, `+${hex(length)}`, `-${hex(length)}`, `00${hex(length)}`, 'g'],
    ...[`${hex(length)} `, ` ${hex(length)}`, `${hex(length)};a=b`, `${hex(length)} ;a`],
    ...[`${hex(length)};a="b`, `${hex(length)};a\nb`, `${hex(length)}\n`, `${hex(length)}\r`, ''],
    ...['fffffffffffffffff', '10000000000000000', `${hex(length)}_`, hex(length + 2)],
    ...[hex(Math.max(0, length - 2)), hex(length).toUpperCase(), `${hex(length)}\x00`],
  ]
  const said = `Content-Length: ${length}`
  return [
    ...lengths.map((each) => ({ fields: [`Content-Length: ${each}`], bytes: body })),
    ...encodings.map((each) => ({ fields: [`Transfer-Encoding: ${each}`], bytes: inChunks })),
    ...sizes.map((each) => ({
      fields: [chunkedField],
      bytes: `${chunk(body, each)}0\r\n\r\n`,
    })),
    { fields: [said, said], bytes: body },
    { fields: [said, `Content-Length: ${length + 4}`], bytes: body },
    { fields: [`Content-Length: 0`, said], bytes: body },
    { fields: [said, chunkedField], bytes: inChunks },
    { fields: [chunkedField, 'Content-Length: 0'], bytes: inChunks },
    { fields: [`Content-Length: ${inChunks.length}`, chunkedField], bytes: inChunks },
    { fields: [`Content-Length: ${inChunks.length}`], bytes: inChunks },
    { fields: [chunkedField, chunkedField], bytes: inChunks },
    { fields: ['Transfer-Encoding: gzip', chunkedField], bytes: inChunks },
    { fields: [chunkedField, 'Transfer-Encoding: identity'], bytes: inChunks },
    { fields: ['Transfer-Encoding : chunked'], bytes: inChunks },
    { fields: ['Transfer-Encoding:\r\n chunked'], bytes: inChunks },
    { fields: ['X: a\nTransfer-Encoding: chunked', said], bytes: inChunks },
    { fields: [`X: a\rContent-Length: 3`, said], bytes: body },
    { fields: [chunkedField], bytes: `${chunk(body)}0\r\nX-T: 1\r\n\r\n` },
    { fields: [chunkedField], bytes: `${chunk(body)}0\r\nContent-Length: 3\r\n\r\n` },
    { fields: [chunkedField], bytes: `${chunk(body)}0\r\n${chunkedField}\r\n\r\n` },
    { fields: [chunkedField], bytes: `${chunk(body)}0\r\nX-T : 1\r\n\r\n` },
    { fields: [chunkedField], bytes: `${chunk(body)}0\n\r\n` },
    { fields: [chunkedField], bytes: `${chunk(body)}0\r\n\n` },
    { fields: [chunkedField], bytes: `${chunk(body)}0\r\n` },
    { fields: [chunkedField], bytes: `${hex(length)}\r\n${body}0\r\n\r\n` },
    { fields: [chunkedField], bytes: `${hex(length)}\r\n${body}\n0\r\n\r\n` },
    { fields: [chunkedField], bytes: `${hex(length)}\r\n${body}\rx0\r\n\r\n` },
    {
      fields: [chunkedField],
      bytes: `${hex(length)};${'e'.repeat(20_000)}\r\n${body}\r\n0\r\n\r\n`,
    },
    { fields: [chunkedField], bytes: body },
    { fields: [`Content-Length: ${length + 1}`], bytes: body },
    { fields: [`Content-Length: ${Math.max(0, length - 1)}`], bytes: body },
    { fields: [`Content-Length: 0`], bytes: body },
    { fields: [], bytes: body },
    { fields: [], bytes: inChunks },
  ]
}

const framed = (body: string) =>
  fc.tuple(seldom(fc.constant(true), 4), fc.nat(200), fc.nat(10_000)).map(([isOdd, at, which]) => {
    const choice = isOdd ? borderline(body, at) : honest(body, at)
    return choice[which % choice.length]!
  })

/** A request that must never be one: it lies in the body of another. */
const hidden = (mark: string) =>
  `POST /api/generate?r=${mark} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`

function bodiesOf(mark: string): fc.Arbitrary<string> {
  const json = (more: string) =>
    `{"model":"llama3.2","stream":false,"prompt":"${mark}","messages":[{"role":"user","content":"${mark}"}]${more}}`
  return mostly(
    json(''),
    25,
    json(',"x":"0\\r\\n\\r\\nGET / HTTP/1.1"'),
    `${json('')}\r\n`,
    hidden(`${placeholder}h`),
    `0\r\n\r\n${hidden(`${placeholder}h`)}`,
    `${json('')}0\r\n\r\n${hidden(`${placeholder}h`)}`,
    '',
  )
}

// --- a whole request, and how it is spoilt ---

const spoilt = fc.constantFrom(
  ...['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ',', ';', '0', '1', 'a', '\x7f', '\x80', '\x0b'],
  ...['\r\n\r\n', '\n\n', '#', '?', '/', '"', '\\'],
)
const spoiling = seldom(fc.record({ at: fc.nat(100_000), sign: spoilt, replaces: fc.boolean() }), 8)

function pieceOf(index: number): fc.Arbitrary<string> {
  const mark = `q7z${placeholder}${index}`
  const line = fc.oneof(
    { weight: 7, arbitrary: fc.constant(hot) },
    { weight: 3, arbitrary: fc.constantFrom(...asked) },
  )
  const parts = fc.tuple(
    line,
    version,
    host,
    others,
    bodiesOf(mark).chain(framed),
    fc.boolean(),
    mostly('', 200, '\r\n', '\n', '\r', ' '),
  )
  return parts
    .map(([[method, path], httpVersion, hosts, more, { fields, bytes }, first, before]) => {
      const said = first ? [...hosts, ...fields, ...more] : [...more, ...fields, ...hosts]
      const target = path === '*' || !/[/]/.test(path) ? path : `${path}?r=${mark}`
      const head = [`${method} ${target} ${httpVersion}`, ...said]
      return `${before}${head.join('\r\n')}\r\n\r\n${bytes}`
    })
    .chain((text) => spoiling.map((how) => (how ? spoil(text, how) : text)))
}

function spoil(text: string, how: { at: number; sign: string; replaces: boolean }): string {
  const at = how.at % (text.length + 1)
  return text.slice(0, at) + how.sign + text.slice(at + (how.replaces ? 1 : 0))
}

export const streams: fc.Arbitrary<Stream> = fc.integer({ min: 1, max: 3 }).chain((count) =>
  fc.record({
    pieces: fc.tuple(...Array.from({ length: count }, (_, index) => pieceOf(index))),
    patient: fc.boolean(),
    cuts: fc.array(fc.nat(999), { maxLength: 3 }),
  }),
)
