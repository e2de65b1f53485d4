import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rawTokens, TokenEstimator } from '../../../src/split/cut/tokens-of.ts'

describe('the estimate of tokens', () => {
  it.each([
    ['', 0],
    ['four', 1],
    ['a word or two', 3.25],
    ['12.5', 2],
    ['déjà', 1.5],
    ['你好', 2],
    ['👍', 2],
  ])('%j: %d', (text, tokens) => {
    expect(rawTokens(text)).toBe(tokens)
  })

  it('adds up over pieces, wherever a text is cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(), (text, nat) => {
        const at = nat % (text.length + 1)
        expect(rawTokens(text.slice(0, at)) + rawTokens(text.slice(at))).toBe(rawTokens(text))
      }),
    )
  })
})

describe('an estimator that learns', () => {
  const prompt = 'word '.repeat(400)
  const raw = rawTokens(prompt)

  it('takes over what a server counted, and keeps models apart', () => {
    const estimator = new TokenEstimator()
    expect(estimator.estimate('a', prompt)).toBe(raw)
    estimator.learn('a', prompt, raw * 1.5)
    expect(estimator.estimate('a', prompt)).toBeCloseTo(raw * 1.5)
    expect(estimator.estimate('b', prompt)).toBe(raw)
  })

  it('stays where it is when many parts say the same', () => {
    const estimator = new TokenEstimator()
    for (let part = 0; part < 50; part++) estimator.learn('a', prompt, raw * 1.3)
    expect(estimator.factor('a')).toBeCloseTo(1.3)
  })

  it('moves slowly, and forgets', () => {
    const estimator = new TokenEstimator()
    estimator.learn('a', prompt, raw)
    estimator.learn('a', prompt, raw * 2)
    expect(estimator.factor('a')).toBeCloseTo(1.2)
    for (let part = 0; part < 50; part++) estimator.learn('a', prompt, raw * 2)
    expect(estimator.factor('a')).toBeCloseTo(2)
  })

  it.each([
    ['of nothing', prompt, 0],
    ['that is no number', prompt, Number.NaN],
    ['of a tiny prompt', 'hello', 90],
  ])('learns nothing from a count %s', (_why, text, count) => {
    const estimator = new TokenEstimator()
    estimator.learn('a', text, count)
    expect(estimator.factor('a')).toBe(1)
  })

  it('believes no count that no tokenizer could have', () => {
    const estimator = new TokenEstimator()
    estimator.learn('cached', prompt, 1)
    estimator.learn('wild', prompt, raw * 100)
    expect([estimator.factor('cached'), estimator.factor('wild')]).toEqual([0.5, 3])
  })

  it('forgets the model that was not heard of for longest', () => {
    const estimator = new TokenEstimator()
    for (let model = 0; model < 256; model++) estimator.learn(`m${model}`, prompt, raw * 2)
    estimator.learn('m0', prompt, raw * 2)
    estimator.learn('one more', prompt, raw * 2)
    expect(['m0', 'm1', 'm2', 'one more'].map((model) => estimator.factor(model))).toEqual([
      2, 1, 2, 2,
    ])
  })
})
