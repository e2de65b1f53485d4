import { describe, expect, it } from 'vitest'
import { lineOf, sentenceIn, wholeAnswer } from '../../src/split/answers.ts'

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value))

describe('a whole answer', () => {
  it('says its text in both native shapes, and why it ended', () => {
    expect(wholeAnswer(bytes({ response: 'é😀', done: true, done_reason: 'length' }))).toEqual({
      text: 'é😀',
      done: true,
      reason: 'length',
    })
    const message = { role: 'assistant', content: 'hi' }
    expect(wholeAnswer(bytes({ message, done: true, done_reason: 'load' }))).toEqual({
      text: 'hi',
      done: true,
      reason: 'stop',
    })
    expect(wholeAnswer(bytes({ done: true }))?.text).toBe('')
  })

  it.each([
    ['nothing', ''],
    ['half of one', '{"response":"half","do'],
    ['no JSON', '<html>'],
    ['null', 'null'],
    ['a text', '"done"'],
    ['one that is not done', '{"response":"half","done":false}'],
    ['done in words', '{"response":"half","done":"true"}'],
    ['two', '{"response":"a","done":true}\n{"response":"b","done":true}'],
  ])('is not %s', (_name, body) => {
    expect(wholeAnswer(Buffer.from(body))).toBeUndefined()
  })

  it('with a text that is none says nothing', () => {
    expect(wholeAnswer(bytes({ response: 5, done: true }))?.text).toBe('')
    expect(wholeAnswer(bytes({ message: 'x', done: true }))?.text).toBe('')
    expect(wholeAnswer(bytes({ message: null, done: true }))?.text).toBe('')
  })
})

describe('a line of a stream', () => {
  it('is a piece, an error with its code, or nothing', () => {
    expect(lineOf('{"response":"a","done":false}')).toEqual({
      text: 'a',
      done: false,
      reason: 'stop',
    })
    expect(lineOf('{"error":"no","code":"stopping"}')).toEqual({ error: 'no', code: 'stopping' })
    expect(lineOf('{"error":"no"}')).toEqual({ error: 'no', code: 'answer_cut' })
    expect(lineOf('{"error":"no","code":"toString"}')).toEqual({ error: 'no', code: 'answer_cut' })
    for (const none of ['', 'x', '[1', '7']) expect(lineOf(none)).toBeUndefined()
  })
})

describe('what a refusal says', () => {
  it('stands in problem JSON, in the words of Ollama, or nowhere', () => {
    expect(sentenceIn(bytes({ detail: 'ours', error: 'other' }), 503)).toBe('ours')
    expect(sentenceIn(bytes({ error: 'theirs' }), 500)).toBe('theirs')
    expect(sentenceIn(Buffer.from('<html>'), 502)).toBe('it was answered with status 502')
    expect(sentenceIn(bytes({ error: { message: 'x' } }), 500)).toContain('500')
    expect(sentenceIn(Buffer.from('{"resp'), 200)).toBe('the answer could not be read')
  })
})
