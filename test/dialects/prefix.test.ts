import { describe, expect, it } from 'vitest'
import type { PrefixPart, PrefixParts } from '../../src/core/prefix.ts'
import { PrefixHasher } from '../../src/dialects/prefix.ts'
import { BodyScanner } from '../../src/dialects/scan.ts'

function partsOf(body: unknown, chunkBytes = Number.POSITIVE_INFINITY): PrefixParts | undefined {
  const scanner = new BodyScanner(new PrefixHasher())
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  for (let at = 0; at < bytes.length; at += chunkBytes)
    scanner.feed(Buffer.from(bytes.subarray(at, at + Math.min(chunkBytes, bytes.length))))
  const result = scanner.end()
  if (!result.ok) throw new Error(result.text)
  return result.prefix
}

const plain = (part: PrefixPart | undefined) =>
  part && { highs: [...part.highs], lows: [...part.lows], bytesAt: [...part.bytesAt] }
const plainAll = (parts: PrefixParts | undefined) => ({
  tools: plain(parts?.tools),
  system: plain(parts?.system),
  context: plain(parts?.context),
  text: plain(parts?.text),
})
const keysOf = (part: PrefixPart | undefined) =>
  part?.highs.map((high, at) => `${high}:${part.lows[at]}`) ?? []

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
/** Text in which no piece is like another. */
const prose = (bytes: number, seed = 1) => {
  let text = ''
  for (let word = seed; text.length < bytes; word++) text += `${(word * 7_919) % 104_729} `
  return text.slice(0, bytes)
}

const everything = {
  model: 'm',
  tools: [{ type: 'function', function: { name: 'look', parameters: { required: [] } } }],
  system: 'Be kind.',
  context: Array.from({ length: 900 }, (_, at) => at * 13),
  messages: [
    { role: 'system', content: 'Übung \\"macht\\" 日本' },
    { role: 'user', content: prose(3_000), images: ['A'.repeat(5_000)] },
  ],
}

describe('the beginnings of a prompt', () => {
  it('have the same keys however the body is cut into chunks', () => {
    const whole = plainAll(partsOf(everything))
    expect(whole.text?.bytesAt.length).toBeGreaterThan(3)
    expect(whole.context?.bytesAt.length).toBeGreaterThan(2)
    for (const chunkBytes of [1, 2, 3, 7, 64, 1_000])
      expect(plainAll(partsOf(everything, chunkBytes))).toEqual(whole)
  })

  it('have the same keys whatever white space and order of outer keys a client writes', () => {
    const { model, tools, system, context, messages } = everything
    const turned = JSON.stringify(
      { messages, context, stream: false, tools, system, model },
      null,
      3,
    )
    expect(plainAll(partsOf(turned))).toEqual(plainAll(partsOf(everything)))
  })

  it('are those of the turn before, and then some', () => {
    const first = [user('hello'), assistant('hi'), user(prose(2_500))]
    const next = [...first, assistant('well'), user('and?')]
    const before = keysOf(partsOf({ messages: first })?.text)
    const after = keysOf(partsOf({ messages: next })?.text)
    expect(before).toHaveLength(5)
    expect(after.slice(0, before.length)).toEqual(before)
    expect(after).toHaveLength(before.length + 2)
  })

  it('differ from the first letter on that differs', () => {
    const one = keysOf(partsOf({ messages: [user('a'), user(prose(4_000)), user('x')] })?.text)
    const text = prose(4_000)
    const changed = `${text.slice(0, 2_100)}#${text.slice(2_101)}`
    const other = keysOf(partsOf({ messages: [user('a'), user(changed), user('x')] })?.text)
    const alike = one.filter((key, at) => key === other[at]).length
    expect(alike).toBe(3)
    expect(new Set([...one, ...other]).size).toBe(one.length + other.length - alike)
  })

  it('tell apart where one value ends and the next begins', () => {
    const ends = ([one, other]: [string, string]) =>
      keysOf(partsOf({ messages: [user(one), user(other)] })?.text).at(-1)
    const texts: [string, string][] = [
      ['ab', 'cd'],
      ['abc', 'd'],
      ['a', 'bcd'],
      ['', 'abcd'],
      ['abcd', ''],
    ]
    expect(new Set(texts.map(ends)).size).toBe(texts.length)
  })

  it('stand further apart in a very long text, at most 256 of them', () => {
    const long = partsOf({ prompt: prose(2_000_000) })?.text
    expect(long!.bytesAt.length).toBeLessThanOrEqual(256)
    expect(long!.bytesAt.length).toBeGreaterThan(100)
    expect(long!.bytesAt.at(-1)).toBe(2_000_000)
    const longer = new Set(keysOf(partsOf({ prompt: prose(2_100_000) })?.text))
    expect(keysOf(long).filter((key) => longer.has(key)).length).toBeGreaterThan(90)
  })

  it('of a thousand short messages are those that the next turn has as well', () => {
    const messages = Array.from({ length: 1_000 }, (_, at) => user(`message ${at}`))
    const before = keysOf(partsOf({ messages })?.text)
    const after = new Set(keysOf(partsOf({ messages: [...messages, user('more')] })?.text))
    expect(before.length).toBeLessThanOrEqual(256)
    expect(before.filter((key) => after.has(key)).length).toBeGreaterThanOrEqual(before.length - 1)
  })

  it('tell pictures apart by their beginning and their length', () => {
    const withImage = (image: string) =>
      keysOf(partsOf({ messages: [{ ...user('what?'), images: [image] }] })?.text).at(-1)
    const images = ['A'.repeat(3_000), `B${'A'.repeat(2_999)}`, 'A'.repeat(3_001)]
    expect(new Set(images.map(withImage)).size).toBe(3)
    expect(withImage(images[0]!)).toBe(withImage('A'.repeat(3_000)))
  })

  it('are none where a request has no prompt', () => {
    expect(partsOf({ model: 'm', stream: true })).toBeUndefined()
  })
})
