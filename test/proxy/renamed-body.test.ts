import { describe, expect, it } from 'vitest'
import type { HeldBody } from '../../src/proxy/body.ts'
import { RenamedBody } from '../../src/proxy/renamed-body.ts'
import { gather } from '../help/gather.ts'

const text = '{"model":"alias","messages":[]}'
const from = text.indexOf('"alias"')
const span = { from, to: from + '"alias"'.length }
const renamed = text.replace('alias', 'qwen3:14b')
const name = Buffer.from('"qwen3:14b"')

function heldIn(pieceBytes: number | undefined, onLetGo = () => {}): HeldBody {
  const bytes = Buffer.from(text)
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes!)
      yield bytes.subarray(at, at + pieceBytes!)
  }
  return {
    size: bytes.length,
    bytes: pieceBytes === undefined ? bytes : undefined,
    open: () => (pieceBytes === undefined ? bytes : pieces()),
    [Symbol.dispose]: onLetGo,
  }
}

describe('a body with another model in it', () => {
  it('is otherwise what it was, in memory', () => {
    const body = new RenamedBody(heldIn(undefined), span, name)
    expect(body.bytes?.toString()).toBe(renamed)
    expect(Buffer.from(body.open() as Uint8Array).toString()).toBe(renamed)
    expect(body.size).toBe(Buffer.byteLength(renamed))
  })

  it('is otherwise what it was, read from a file in pieces of any size, as often as asked', async () => {
    for (let pieceBytes = 1; pieceBytes <= text.length + 1; pieceBytes++) {
      const body = new RenamedBody(heldIn(pieceBytes), span, name)
      expect(body.bytes).toBeUndefined()
      for (let times = 0; times < 2; times++) {
        const pieces = await gather(body.open() as AsyncIterable<Uint8Array>)
        expect(Buffer.concat(pieces).toString()).toBe(renamed)
        expect(pieces.every(({ length }) => length > 0)).toBe(true)
      }
    }
  })

  it('can be renamed again', () => {
    const once = new RenamedBody(heldIn(undefined), span, name)
    const next = { from, to: from + name.length }
    const twice = new RenamedBody(once, next, Buffer.from('"x"'))
    expect(twice.bytes?.toString()).toBe(text.replace('alias', 'x'))
  })

  it('lets go of what it was made of', () => {
    let letGo = 0
    const held = heldIn(undefined, () => letGo++)
    new RenamedBody(new RenamedBody(held, span, name), span, name)[Symbol.dispose]()
    expect(letGo).toBe(1)
  })
})
