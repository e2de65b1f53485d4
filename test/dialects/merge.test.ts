import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lowestVersion, mergeModels, mergePs, mergeTags } from '../../src/dialects/merge.ts'

const tag = (name: string, digest: string, day: number, more: object = {}) => ({
  name,
  model: name,
  digest,
  modified_at: `2026-08-0${day}T10:00:00.123456789+02:00`,
  ...more,
})
const lists = (...entries: unknown[][]) =>
  entries.map((list, index) => ({ backend: `b${index}`, entries: list }))

describe('the list of all models', () => {
  it('has one entry per name, newest first, each as one backend sent it', () => {
    const a = tag('x:latest', 'd1', 1, { size: 1 })
    const b = tag('X', 'd1', 3, { size: 2 })
    const c = tag('y:latest', 'd2', 2)
    const { models, conflicts } = mergeTags(lists([a, c], [b]))
    expect(models).toEqual([b, c])
    expect(models[0]).toBe(b)
    expect(conflicts).toEqual([])
  })

  it('takes the digest that most have, and tells the operator', () => {
    const { models, conflicts } = mergeTags(
      lists([tag('x', 'old', 1)], [tag('x', 'new', 5)], [tag('x', 'old', 2)]),
    )
    expect(models).toEqual([tag('x', 'old', 2)])
    expect(conflicts).toEqual([
      { model: 'x:latest', digest: 'old', backendsByDigest: { old: ['b0', 'b2'], new: ['b1'] } },
    ])
  })

  it('takes the newest where as many have the one as the other', () => {
    expect(mergeTags(lists([tag('x', 'a', 1)], [tag('x', 'b', 2)])).models[0]).toMatchObject({
      digest: 'b',
    })
  })

  it('does not depend on who answered first, and bears whatever a backend says', () => {
    const entry = fc.oneof(
      fc.anything(),
      fc.record(
        {
          name: fc.oneof(fc.constantFrom('x', 'X:latest', 'y', ''), fc.anything()),
          digest: fc.oneof(fc.constantFrom('a', 'b'), fc.anything()),
          modified_at: fc.oneof(
            fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
            fc.anything(),
          ),
        },
        { requiredKeys: [] },
      ),
    )
    fc.assert(
      fc.property(fc.array(fc.array(entry), { maxLength: 4 }), (entries) => {
        const names = (all: ReturnType<typeof lists>) =>
          mergeTags(all).models.map((one) => one['digest'])
        const all = lists(...entries)
        expect(names([...all].reverse())).toEqual(names(all))
        mergePs(all)
        mergeModels(all)
      }),
    )
  })

  it('bears a list that is none', () => {
    const wrong = [{ backend: 'b', entries: null as unknown as unknown[] }]
    expect(mergeTags(wrong).models).toEqual([])
  })
})

describe('the list of loaded models', () => {
  it('has one row per model: the one that stays longest', () => {
    const row = (name: string, expires: string, context: number) => ({
      name,
      expires_at: expires,
      context_length: context,
    })
    const soon = row('x:latest', '2026-08-01T10:00:00Z', 1)
    const late = row('x:latest', '2318-08-01T10:00:00.5+02:00', 2)
    const other = row('y:latest', '2026-08-01T11:00:00Z', 3)
    expect(mergePs(lists([soon, other], [late])).models).toEqual([late, other])
  })
})

describe('the list in the language of OpenAI', () => {
  it('is made from the tags', () => {
    expect(mergeModels(lists([tag('me/x:1b', 'd', 1), tag('y:latest', 'd', 2)]))).toEqual({
      object: 'list',
      data: [
        { id: 'y:latest', object: 'model', created: 1785657600, owned_by: 'library' },
        { id: 'me/x:1b', object: 'model', created: 1785571200, owned_by: 'me' },
      ],
    })
  })

  it('is null when it is empty, as with Ollama', () => {
    expect(mergeModels([])).toEqual({ object: 'list', data: null })
  })
})

describe('the version of the fleet', () => {
  it('is the lowest of what the backends say', () => {
    expect(lowestVersion(['0.33.0', '0.9.10', '0.24.1'])).toBe('0.9.10')
    expect(lowestVersion(['0.33.0', '0.33.0-rc2', '0.33.0-rc10'])).toBe('0.33.0-rc2')
    expect(lowestVersion(['0.0.0', '0.30.0'])).toBe('0.30.0')
    expect(lowestVersion(['0.0.0'])).toBe('0.0.0')
    expect(lowestVersion(['x', 5, null])).toBeUndefined()
  })
})
