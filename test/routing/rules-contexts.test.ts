import { describe, expect, it } from 'vitest'
import { Contexts } from '../../src/routing/rules/contexts.ts'

const model = 'm:latest'
/** Four bytes a token, as far as they were read. */
const prompt = (endpoint: string, tokens: number, read = tokens) => ({
  endpoint,
  model,
  textBytes: tokens * 4,
  promptTokens: read,
})

describe('the context of a model', () => {
  it('is learned from a prompt of which less was counted than was sent', () => {
    const contexts = new Contexts()
    expect(contexts.learn(prompt('a', 1_000))).toBeUndefined()
    expect(contexts.learn(prompt('a', 9_000, 4_000))).toBe(4_096)
    expect(contexts.learn(prompt('a', 9_000, 3_900))).toBeUndefined()
    // At another endpoint nothing is known of it.
    expect(contexts.learn(prompt('b', 9_000, 8_000))).toBeUndefined()
  })

  it('is the largest that was read, since whole messages are left out of a prompt', () => {
    const contexts = new Contexts()
    contexts.learn(prompt('a', 1_000))
    expect(contexts.learn(prompt('a', 9_000, 1_900))).toBe(2_048)
    expect(contexts.learn(prompt('a', 9_000, 3_500))).toBe(4_096)
  })

  it('grows when a longer prompt was read whole', () => {
    const contexts = new Contexts()
    contexts.learn(prompt('a', 1_000))
    contexts.learn(prompt('a', 9_000, 4_000))
    expect(contexts.learn(prompt('a', 8_000))).toBe(8_192)
  })

  it('is not guessed from short prompts, nor from the first one', () => {
    const contexts = new Contexts()
    expect(contexts.learn(prompt('a', 9_000, 3_000))).toBeUndefined()
    expect(contexts.learn(prompt('a', 900, 100))).toBeUndefined()
  })

  it('is forgotten with the machine', () => {
    const contexts = new Contexts()
    contexts.learn(prompt('a', 1_000))
    contexts.learn(prompt('a', 9_000, 4_000))
    contexts.forget('a')
    expect(contexts.learn(prompt('a', 9_000, 2_000))).toBe(2_048)
  })
})
