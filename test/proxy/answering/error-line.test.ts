import { describe, expect, it } from 'vitest'
import { errorLineIn, tellsOfCrash } from '../../../src/proxy/answering/error-line.ts'

const at = (text: string) => errorLineIn(Buffer.from(text))
const line = (text: string) => Buffer.from(`${JSON.stringify({ error: text })}\n`)

describe('an error line', () => {
  it('is found where a line begins', () => {
    expect(at('{"error":"no"}\n')).toBe(0)
    expect(at('{"a":"é"}\n{"error":"no"}\n')).toBe(11)
    expect(at('{"error":"first"}\n{"error":"second"}\n')).toBe(0)
  })

  it('is nothing that only stands inside of a line', () => {
    for (const text of ['{"a":1}\n', '{"embedding":[]}\n', '{"a":{"error":"no"}}\n', '\n', ''])
      expect(at(text)).toBe(-1)
  })

  it('tells of a dead runner, or of the model and the request', () => {
    expect(tellsOfCrash(line('model runner has unexpectedly stopped'))).toBe(true)
    expect(tellsOfCrash(line('the model says no'))).toBe(false)
  })

  it('tells of nothing where it is cut off, or no text', () => {
    expect(tellsOfCrash(Buffer.from('{"error":"model runner has unexpectedly st'))).toBe(false)
    expect(tellsOfCrash(Buffer.from('{"error":{"code":500}}\n'))).toBe(false)
  })
})
