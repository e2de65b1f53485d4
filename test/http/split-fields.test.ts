import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import { namedModel, orderOfChat, orderOfGenerate } from '../../src/http/split-fields.ts'

const read = (body: Buffer) => JSON.parse(body.toString('utf8')) as Record<string, unknown>
/** What would come out wrong from a search and replace, or from a text put into JSON as it is. */
const awkward = ['$&$1$$', '"quoted"\\', 'a\nb\tc', '{"prompt":"x"}', '\u2028 é😀', '\u0001', '']

describe('a part of a prompt', () => {
  it('goes out with the instruction before it and all else as it was given', () => {
    const native = {
      model: 'm',
      system: 'Be brief.',
      options: { seed: 7, num_ctx: 512, num_predict: 20 },
      keep_alive: -1,
      prompt: 'the whole',
      stream: true,
    }
    const order = orderOfGenerate(native, 'the whole', 'Explain')
    for (const text of awkward)
      expect(read(order.bodyOf(text, false))).toEqual({
        ...native,
        prompt: `Explain\n\n${text}`,
        stream: false,
      })
    expect(order).toMatchObject({
      path: '/api/generate',
      context: 512,
      answerTokens: 20,
      question: 'Explain',
      overhead: 'Explain\n\nBe brief.',
      schema: undefined,
    })
    expect(read(orderOfGenerate({ model: 'm' }, 'x', '').bodyOf('part', true))).toEqual({
      model: 'm',
      prompt: 'part',
      stream: true,
    })
  })

  it('takes no limit for a limit, and no word for a schema', () => {
    const of = (options: unknown, format?: unknown) =>
      orderOfGenerate({ model: 'm', options, format }, 'x', '')
    for (const none of [-1, -2, 0, '7', null, Number.NaN])
      expect(of({ num_predict: none, num_ctx: none })).toMatchObject({
        context: undefined,
        answerTokens: undefined,
      })
    expect(of(undefined, 'json').schema).toBeUndefined()
    expect(of(null, { type: 'array' }).schema).toEqual({ type: 'array' })
  })

  it('is combined by a call without the form of the parts', () => {
    const native = { model: 'm', system: 's', format: 'json', options: { seed: 1 }, think: false }
    const { bodyOfPrompt } = orderOfGenerate(native, 'x', '')
    expect(read(bodyOfPrompt('other', 'Make one'))).toEqual({
      model: 'other',
      prompt: 'Make one',
      stream: false,
      options: { seed: 1 },
      think: false,
    })
  })
})

describe('a part of a chat', () => {
  const system = { role: 'system', content: 'Be brief.' }
  const assistant = { role: 'assistant', content: 'Yes?' }
  const user = (content: string) => ({ role: 'user', content, name: 'kept' })

  it('stands in the place of the last message of the user, the others around it', () => {
    const messages = [system, user('first'), assistant, user('the long one'), assistant]
    const order = orderOfChat({ model: 'm', messages, options: {}, stream: true })
    expect(order.input).toBe('the long one')
    expect(order.overhead).toBe('Be brief.\nfirst\nYes?\nYes?')
    for (const text of awkward)
      expect(read(order.bodyOf(text, true))).toEqual({
        model: 'm',
        messages: [system, user('first'), assistant, user(text), assistant],
        options: {},
        stream: true,
      })
  })

  it('is told apart from what looks the same', () => {
    const messages = [user('same'), user('same')]
    const { bodyOf } = orderOfChat({ model: 'm', messages })
    expect(read(bodyOf('part', false))['messages']).toEqual([user('same'), user('part')])
  })

  it.each([
    ['tools', { messages: [user('x')], tools: [{}] }],
    ['images', { messages: [user('x'), { ...system, images: ['x'] }] }],
    ['no messages', { messages: 'x' }],
    ['no text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }],
  ])('is refused with %s', (_name, body) => {
    expect(() => orderOfChat({ model: 'm', ...body })).toThrow(Failure)
  })

  it('may have an empty list of tools or images', () => {
    const messages = [{ ...user('x'), images: [] }]
    expect(orderOfChat({ model: 'm', messages, tools: [] }).input).toBe('x')
  })
})

it('a model is named as the client wrote it, and known by its whole name', () => {
  expect(namedModel('codellama:13b')).toMatchObject({
    text: 'codellama:13b',
    canonical: 'codellama:13b',
    cloud: false,
  })
  expect(namedModel('llama3.2').canonical).toBe('llama3.2:latest')
  expect(() => namedModel('two words')).toThrow('"two words" is no model name')
})
