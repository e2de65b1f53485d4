import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BodyFacts,
  BodyScanner,
  isEmptyAt,
  rawOf,
  scanBody,
  textOf,
} from '../../src/dialects/scan.ts'

const facts = (text: string): BodyFacts => {
  const result = scanBody(Buffer.from(text))
  if (!result.ok) throw new Error(`${result.problem}: ${result.text}`)
  return result
}
const fault = (text: string) => {
  const result = scanBody(Buffer.from(text))
  return result.ok ? undefined : `${result.problem}: ${result.text}`
}

function inPieces(body: Buffer, cuts: readonly number[]) {
  const scanner = new BodyScanner()
  const places = [...new Set(cuts.map((cut) => cut % (body.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const to of [...places, body.length]) {
    // A copy, overwritten afterwards: nothing may be kept by reference to a chunk that belongs to the socket.
    const piece = Buffer.from(body.subarray(from, to))
    scanner.feed(piece)
    piece.fill(0x21)
    from = to
  }
  return scanner.end()
}

describe('what Go would read', () => {
  it('takes the last of two equal keys', () => {
    expect(textOf(facts('{"model":"a","x":1,"model":"b"}'), 'model')).toBe('b')
  })

  it('takes a key in any letter case, escaped, or with the letters that fold onto ASCII', () => {
    for (const key of ['MODEL', 'mOdel', '\\u006dodel', '\\u004DODEL', 'mode\\u006C'])
      expect(textOf(facts(`{"${key}":"a"}`), 'model')).toBe('a')
    expect(rawOf(facts('{"\u212aeep_alive":1}'), 'keep_alive')).toBe('1')
    expect(textOf(facts('{"\u017fource":"a"}'), 'source')).toBe('a')
    expect(textOf(facts('{"\\u017Fource":"a"}'), 'source')).toBe('a')
    expect(textOf(facts('{"modél":"a"}'), 'model')).toBe('')
  })

  it('lets a null clear what is a pointer and keep what is a string', () => {
    const read = facts('{"model":"a","model":null,"keep_alive":5,"keep_alive":null}')
    expect(textOf(read, 'model')).toBe('a')
    expect(rawOf(read, 'keep_alive')).toBeUndefined()
    expect(isEmptyAt(facts('{"messages":[1],"messages":null}'), 'messages')).toBe(true)
    expect(isEmptyAt(facts('{"messages":null,"messages":[1]}'), 'messages')).toBe(false)
  })

  it('ignores everything behind the first value', () => {
    expect(textOf(facts('{"model":"a"} {"model":"b"} !'), 'model')).toBe('a')
  })

  it('reads a null body as an empty object', () => {
    expect(facts('null').values.size).toBe(0)
  })

  it('notices what stands where a name must be', () => {
    expect([...facts('{"model":{"a":1},"name":7}').mistyped]).toEqual([
      ['model', 'object'],
      ['name', 'number'],
    ])
  })
})

describe('bodies that are wrong', () => {
  it.each([
    ['', 'empty: EOF'],
    [' \n\t', 'empty: EOF'],
    ['[1]', 'notObject: array'],
    ['"a"', 'notObject: string'],
    ['12', 'notObject: number'],
    ['true', 'notObject: bool'],
    ['{', 'syntax: unexpected EOF'],
    ['{"model":"a', 'syntax: unexpected EOF'],
    ['{"model":tru', 'syntax: unexpected EOF'],
    ['model=a', "syntax: invalid character 'm' looking for beginning of value"],
    ['{model:1}', "syntax: invalid character 'm' looking for beginning of object key string"],
    ['{"a":1,}', "syntax: invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "syntax: invalid character '1' after object key"],
    ['{"a":1 "b"}', `syntax: invalid character '"' after object key:value pair`],
    ['{"a":[1 2]}', "syntax: invalid character '2' after array element"],
    ['{"a":[1}', "syntax: invalid character '}' after array element"],
    ['{"a":01}', "syntax: invalid character '1' after object key:value pair"],
    ['{"a":-}', "syntax: invalid character '}' in numeric literal"],
    ['{"a":1.}', "syntax: invalid character '}' after decimal point in numeric literal"],
    ['{"a":1ex}', "syntax: invalid character 'x' in exponent of numeric literal"],
    ['{"a":trux}', "syntax: invalid character 'x' in literal true (expecting 'e')"],
    ['\ufeff{}', "syntax: invalid character 'ï' looking for beginning of value"],
    ["{'a':1}", "syntax: invalid character '\\'' looking for beginning of object key string"],
  ])('answers %j as Go does', (text, expected) => {
    expect(fault(text)).toBe(expected)
  })

  it('stops at the depth at which Go stops', () => {
    expect(facts(`{"a":${'['.repeat(9_999)}${']'.repeat(9_999)}}`).ok).toBe(true)
    expect(fault(`{"a":${'['.repeat(10_000)}`)).toBe(
      "syntax: invalid character '[' exceeded max depth",
    )
  })
})

describe('what is counted', () => {
  it('counts text at every depth and leaves pictures and sound out', () => {
    const read = facts(
      JSON.stringify({
        messages: [
          { content: 'hello', images: ['AAAA'] },
          { content: [{ text: 'you' }, { image_url: { url: 'data:image/png;base64,AAAA' } }] },
        ],
      }),
    )
    expect(read).toMatchObject({ textBytes: 8, media: true, audio: false })
  })

  it('tells sound from pictures, and a picture of Anthropic from other data', () => {
    expect(facts('{"messages":[{"input_audio":{"data":"AA"}}]}')).toMatchObject({ audio: true })
    expect(facts('{"messages":[{"source":{"data":"AA"}}]}')).toMatchObject({ media: true })
    expect(facts('{"messages":[{"other":{"data":"AA"}}]}')).toMatchObject({
      media: false,
      textBytes: 0,
    })
  })

  it('takes fields of tools and of their arguments for text whatever they are called', () => {
    const read = facts(
      '{"tools":[{"images":{"type":"array"}}],"messages":[{"tool_calls":[{"arguments":{"images":["a"]}}]}]}',
    )
    expect(read).toMatchObject({ media: false, textBytes: 6 })
  })

  it('knows empty from not empty', () => {
    const read = facts('{"prompt":"","messages":[ ],"input":[""],"tools":[{}],"images":null}')
    expect(['prompt', 'messages', 'images'].map((key) => isEmptyAt(read, key as 'prompt'))).toEqual(
      [true, true, true],
    )
    expect(isEmptyAt(read, 'input')).toBe(false)
    expect(isEmptyAt(read, 'tools')).toBe(false)
  })

  it('does not keep a value that is too long', () => {
    const read = facts(`{"options":{"stop":"${'x'.repeat(70_000)}"},"model":"a"}`)
    expect(read.values.get('options')).toMatchObject({ tooLong: true, text: undefined })
    expect(textOf(read, 'model')).toBe('a')
  })
})

// --- against JSON.parse ---

/** A key in a spelling that Go takes for it. */
const spelt = (key: string) =>
  fc
    .array(fc.constantFrom('as is', 'upper', 'escaped', 'folded'), {
      minLength: key.length,
      maxLength: key.length,
    })
    .map((ways) =>
      [...key]
        .map((letter, index) => {
          const way = ways[index]
          if (way === 'upper') return letter.toUpperCase()
          if (way === 'escaped') return `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
          if (way === 'folded') return letter === 's' ? 'ſ' : letter === 'k' ? '\u212a' : letter
          return letter
        })
        .join(''),
    )

const known = ['model', 'source', 'keep_alive', 'stream', 'options'] as const
const text = fc.string({ unit: 'binary' })
const member = fc.oneof(
  fc
    .constantFrom(...known)
    .chain((key) => fc.tuple(fc.constant(key), spelt(key), fc.oneof(fc.jsonValue(), text))),
  fc.tuple(
    fc.constant(undefined),
    fc
      .oneof(text, fc.constantFrom('images', 'prompt', 'nested'))
      .map((key) => JSON.stringify(key).slice(1, -1)),
    fc.jsonValue(),
  ),
)

describe('on any body, cut anywhere', () => {
  it('reads the outer keys as a parser with the rules of Go', () => {
    fc.assert(
      fc.property(
        fc.array(member, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.constantFrom('', ' ', '\n\t'),
        (members, cuts, space) => {
          const body = Buffer.from(
            `${space}{${members.map(([, raw, value]) => `"${raw}"${space}:${space}${JSON.stringify(value)}${space}`).join(`,${space}`)}}`,
          )
          const read = inPieces(body, cuts)
          if (!read.ok) throw new Error(read.text)

          const expected = new Map<string, unknown>()
          const cleared = new Map<string, boolean>()
          for (const [key, , value] of members) {
            if (key === undefined) continue
            const isName = key === 'model' || key === 'source'
            if (value === null) cleared.set(key, true)
            else if (!isName || typeof value === 'string') {
              expected.set(key, value)
              cleared.set(key, false)
            }
          }
          for (const key of known) {
            const value = read.values.get(key)
            if (!expected.has(key)) expect(value?.text).toBeUndefined()
            else {
              expect(JSON.parse(value!.text!)).toEqual(
                JSON.parse(JSON.stringify(expected.get(key))),
              )
              expect(value!.thenNull).toBe(cleared.get(key))
            }
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  it('counts the bytes of the strings in messages', () => {
    const content = fc.record({ role: fc.constant('user'), content: text, more: fc.array(text) })
    fc.assert(
      fc.property(fc.array(content), fc.array(fc.nat(), { maxLength: 12 }), (messages, cuts) => {
        const read = inPieces(Buffer.from(JSON.stringify({ messages })), cuts)
        const strings = messages.flatMap(({ role, content, more }) => [role, content, ...more])
        const bytes = strings.map((string) => Buffer.byteLength(JSON.stringify(string)) - 2)
        expect(read).toMatchObject({ textBytes: bytes.reduce((sum, one) => sum + one, 0) })
      }),
    )
  })

  it('finds fault with the same bodies whatever the cuts, and with none that a parser takes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc
            .tuple(fc.json(), fc.nat(), fc.constantFrom('', '}', ']', ',', '"', '1', ':'))
            .map(
              ([json, at, put]) =>
                json.slice(0, at % json.length) + put + json.slice((at % json.length) + 1),
            ),
        ),
        fc.array(fc.nat(), { maxLength: 12 }),
        (body, cuts) => {
          const whole = scanBody(Buffer.from(body))
          expect(inPieces(Buffer.from(body), cuts)).toEqual(whole)
          let parses = true
          try {
            JSON.parse(body)
          } catch {
            parses = false
          }
          if (parses) expect(whole.ok || whole.problem === 'notObject').toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})
