import { describe, expect, it } from 'vitest'
import { Contexts } from '../../src/routing/rules/contexts.ts'

const model = 'm:latest'

/** Endpoints that keep what they are told of their contexts; four bytes a token, as far as they were read. */
function learner() {
  const contexts = new Contexts()
  const known = new Map<string, number>()
  return {
    learn(endpoint: string, tokens: number, read = tokens): number | undefined {
      const counted = { model, textBytes: tokens * 4, promptTokens: read }
      const learned = contexts.learn({ ...counted, knownTokens: known.get(endpoint) })
      if (learned !== undefined) known.set(endpoint, learned)
      return learned
    },
    /** The server was started anew, or another machine has its name. */
    restart: (endpoint: string) => known.delete(endpoint),
  }
}

describe('the context of a model', () => {
  it('is learned from a prompt of which less was counted than was sent', () => {
    const contexts = learner()
    expect(contexts.learn('a', 1_000)).toBeUndefined()
    expect(contexts.learn('a', 9_000, 4_000)).toBe(4_096)
    expect(contexts.learn('a', 9_000, 3_900)).toBeUndefined()
    // At another endpoint nothing is known of it.
    expect(contexts.learn('b', 9_000, 8_000)).toBeUndefined()
  })

  it('is the largest that was read, since whole messages are left out of a prompt', () => {
    const contexts = learner()
    contexts.learn('a', 1_000)
    expect(contexts.learn('a', 9_000, 1_900)).toBe(2_048)
    expect(contexts.learn('a', 9_000, 3_500)).toBe(4_096)
  })

  it('grows when a longer prompt was read whole', () => {
    const contexts = learner()
    contexts.learn('a', 1_000)
    contexts.learn('a', 9_000, 4_000)
    expect(contexts.learn('a', 8_000)).toBe(8_192)
  })

  it('is not guessed from short prompts, nor from the first one', () => {
    const contexts = learner()
    expect(contexts.learn('a', 9_000, 3_000)).toBeUndefined()
    expect(contexts.learn('a', 900, 100)).toBeUndefined()
  })

  // What an endpoint had learned was kept a second time, and stayed there when the endpoint forgot it. A server that
  // came back with a smaller context was never found out.
  it('is learned anew, and may be smaller, when the server was started anew', () => {
    const contexts = learner()
    contexts.learn('a', 1_000)
    contexts.learn('a', 9_000, 4_000)
    contexts.restart('a')
    expect(contexts.learn('a', 9_000, 2_000)).toBe(2_048)
  })
})
