import { describe, expect, it } from 'vitest'
import type { Rule, RuleWhen } from '../../src/core/settings.ts'
import type { Affinity } from '../../src/routing/affinity/affinity.ts'
import { Prompt } from '../../src/routing/affinity/prompt.ts'
import { barOf } from '../../src/routing/filters.ts'
import { needKey } from '../../src/routing/need.ts'
import { mayServe, priceS } from '../../src/routing/rules/placement.ts'
import { RuleBook, type RuledRequest } from '../../src/routing/rules/rule-book.ts'
import { tastesOf } from '../../src/routing/rules/tastes.ts'
import { endpointOf, needOf } from './help.ts'

function ruleOf({
  when,
  ...does
}: Partial<Omit<Rule, 'when'>> & { when?: Partial<RuleWhen> }): Rule {
  return {
    only: undefined,
    never: undefined,
    preferMs: undefined,
    priority: undefined,
    useModel: undefined,
    ...does,
    when: {
      tenant: undefined,
      user: undefined,
      model: undefined,
      work: undefined,
      labels: [],
      promptTokensMax: undefined,
      tools: undefined,
      images: undefined,
      ...when,
    },
  }
}

const request: RuledRequest = {
  tenant: 'user:ann',
  model: 'llama3.3:70b',
  askedModel: 'llama3.3:70b',
  work: 'chat',
  labels: ['eu'],
  promptTokens: 800,
  needs: ['completion'],
}

const place = (name: string, ...labels: string[]) => ({ name, labels })
const [den, attic, cloud] = [
  place('den', 'gpu'),
  place('attic', 'cpu'),
  place('cloud', 'gpu', 'eu'),
]

describe('a rule', () => {
  const fits = (when: Partial<RuleWhen>, of: Partial<RuledRequest> = {}) =>
    new RuleBook([ruleOf({ when, priority: 'batch' })]).placementOf({ ...request, ...of })
      .priority === 'batch'

  it('fits who is meant by its patterns, whatever the letter case', () => {
    expect(fits({})).toBe(true)
    expect(fits({ tenant: ['user:*'] })).toBe(true)
    expect(fits({ tenant: ['key:*', '10.*'] })).toBe(false)
    expect(fits({ user: ['ANN', 'bob'] })).toBe(true)
    expect(fits({ user: ['ann'] }, { tenant: 'key:ann' })).toBe(false)
    expect(fits({ work: ['code_*'] }, { work: 'code_review' })).toBe(true)
    expect(fits({ work: ['code_*'] })).toBe(false)
  })

  it('fits a model by its name, with and without latest, and by the name that was used', () => {
    expect(fits({ model: ['*:70b'] })).toBe(true)
    expect(fits({ model: ['llama3.3'] })).toBe(false)
    expect(fits({ model: ['phi4'] }, { model: 'phi4:latest', askedModel: 'phi4:latest' })).toBe(
      true,
    )
    expect(fits({ model: ['gpt-*'] }, { askedModel: 'gpt-4o-mini:latest' })).toBe(true)
  })

  it('fits by labels, size, tools and pictures; all that is given must', () => {
    expect(fits({ labels: ['eu'] })).toBe(true)
    expect(fits({ labels: ['eu', 'night'] })).toBe(false)
    expect(fits({ promptTokensMax: 800 })).toBe(true)
    expect(fits({ promptTokensMax: 799 })).toBe(false)
    expect(fits({ tools: false })).toBe(true)
    expect(fits({ tools: false }, { needs: ['tools'] })).toBe(false)
    expect(fits({ tools: true }, { needs: ['tools'] })).toBe(true)
    expect(fits({ images: false }, { needs: ['vision'] })).toBe(false)
    expect(fits({ images: true }, { needs: ['audio'] })).toBe(true)
    expect(fits({ tools: false, promptTokensMax: 10 })).toBe(false)
  })
})

describe('several rules', () => {
  it('count once for each kind of word: the first that fits and has one', () => {
    const book = new RuleBook([
      ruleOf({ when: { user: ['bob'] }, only: ['attic'] }),
      ruleOf({ when: { user: ['ann'] }, never: ['den'] }),
      ruleOf({ never: ['cloud'], only: ['gpu'] }),
      ruleOf({ priority: 'interactive', useModel: 'qwen3:4b' }),
    ])
    const placement = book.placementOf(request)
    expect(placement).toMatchObject({
      only: ['gpu'],
      never: ['den'],
      priority: 'interactive',
      useModel: 'qwen3:4b',
    })
    expect([den, attic, cloud].map((each) => mayServe(placement, each))).toEqual([
      false,
      false,
      true,
    ])
  })

  it('give equal requests the same placement, and others another key', () => {
    const book = new RuleBook([
      ruleOf({ when: { user: ['ann'] }, never: ['den'] }),
      ruleOf({ when: { work: ['embed'] }, priority: 'batch' }),
    ])
    const ann = book.placementOf(request)
    expect(book.placementOf({ ...request, promptTokens: 3 })).toBe(ann)
    const bob = book.placementOf({ ...request, tenant: 'user:bob' })
    const key = (rules: typeof ann) => needKey(needOf({ rules }))
    expect(key(ann)).not.toBe(key(bob))
    // Another priority changes nothing of where it may go.
    expect(key(book.placementOf({ ...request, tenant: 'user:bob', work: 'embed' }))).toBe(key(bob))
  })
})

describe('a placement', () => {
  it('takes a word for a name or a label, and with label: for a label only', () => {
    const book = (only: string[]) => new RuleBook([ruleOf({ only })]).placementOf(request)
    const gpu = place('gpu')
    expect(mayServe(book(['gpu']), gpu)).toBe(true)
    expect(mayServe(book(['label:gpu']), gpu)).toBe(false)
    expect(mayServe(book(['label:gpu']), den)).toBe(true)
  })

  it('makes everybody else dearer by what a preference is worth', () => {
    const placement = new RuleBook([ruleOf({ preferMs: { gpu: 2_000, cloud: 500 } })]).placementOf(
      request,
    )
    expect([den, attic, cloud].map((each) => priceS(placement, each))).toEqual([0, 2, 0])
    const both = new RuleBook([ruleOf({ preferMs: { den: 2_000, cpu: 500 } })]).placementOf(request)
    expect([den, attic, cloud].map((each) => priceS(both, each))).toEqual([0, 1.5, 2])
  })

  it('bars an endpoint that the rules keep a request from, and one that may not serve the model', () => {
    const rules = new RuleBook([ruleOf({ never: ['a'] })]).placementOf(request)
    const bar = (name: string, takes = true) => {
      const endpoint = { ...endpointOf(name), takes: () => takes }
      return barOf(endpoint, endpoint.model('m:latest'), needOf({ rules }))
    }
    expect([bar('a'), bar('b'), bar('b', false)]).toEqual(['ruledOut', undefined, 'notItsModel'])
  })
})

describe('what affinity and rules add to a cost', () => {
  const affinity = { cachedTokens: () => 500 } as unknown as Affinity
  const prompt = new Prompt(undefined, { model: 'm:latest', runner: '', session: undefined })
  const cachedAt = (resident: boolean, isOn = true, need = needOf({ prompt })) =>
    tastesOf(affinity, () => isOn).cachedTokens?.(endpointOf('a', { m: { resident } }), need, 0)

  it('is nothing cached where the model is not in memory, where affinity is off, and without a prompt', () => {
    expect(cachedAt(true)).toBe(500)
    expect(cachedAt(false)).toBe(0)
    expect(cachedAt(true, false)).toBe(0)
    expect(cachedAt(true, true, needOf())).toBe(0)
  })

  it('is the price that the rules give a place', () => {
    const rules = new RuleBook([ruleOf({ preferMs: { a: 1_000 } })]).placementOf(request)
    const price = (name: string, need = needOf({ rules })) =>
      tastesOf(affinity, () => true).priceS?.(endpointOf(name), need)
    expect([price('a'), price('b'), price('b', needOf())]).toEqual([0, 1, 0])
  })
})
