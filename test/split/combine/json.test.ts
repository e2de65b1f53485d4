import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CannotCombine } from '../../../src/split/combine/combiner.ts'
import { json } from '../../../src/split/combine/json.ts'
import { combined } from './help.ts'

const make = (parts: number, schema?: object) => json({ parts, schema })
const all = (texts: (string | Error)[], schema?: object) =>
  combined(make(texts.length, schema), texts)
const fault = (texts: (string | Error)[], schema?: object) =>
  all(texts, schema).then(
    () => undefined,
    (error: unknown) => (error instanceof CannotCombine ? error : undefined),
  )

describe('JSON answers', () => {
  it('become one array of all items, in order', async () => {
    expect(await all(['[1, 2]', 'Here:\n```json\n[]\n```', '[{"a": [3]}]'])).toBe('[1,2,{"a":[3]}]')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.jsonValue()), { minLength: 1 }), async (lists) => {
        // Written and read once, for -0 is 0 in JSON text.
        const sent = lists.map((list) => JSON.stringify(list))
        const joined = JSON.parse(await all(sent))
        expect(joined).toHaveLength(lists.flat().length)
        expect(joined).toEqual(sent.flatMap((text) => JSON.parse(text)))
      }),
    )
  })

  it('become one object: arrays joined, objects merged, null giving way', async () => {
    expect(
      await all([
        '{"a": [1], "b": {"c": 1, "n": null}, "s": "x"}',
        '{"a": [2], "b": {"d": 2, "n": 5}, "s": "x", "t": null}',
      ]),
    ).toBe('{"a":[1,2],"b":{"c":1,"n":5,"d":2},"s":"x","t":null}')
  })

  it('keep what the earlier part said where two differ, and tell', async () => {
    const combiner = make(2)
    const text = await combined(combiner, [
      '{"a": {"b/c": 1}, "d": 1.0}',
      '{"a": {"b/c": [2]}, "d": 1}',
    ])
    expect(text).toBe('{"a":{"b/c":1},"d":1.0}')
    expect(combiner.notes).toEqual({
      conflicts: [{ at: '/a/b~1c', kept: '1', left: '[2]', part: 'part 2 of 2 (line 2)' }],
    })
  })

  it('tell of twenty conflicts, and how many more there were', async () => {
    const combiner = make(2)
    const object = (value: number) =>
      JSON.stringify(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, value])))
    await combined(combiner, [object(1), object(2)])
    expect(combiner.notes?.['conflicts']).toHaveLength(20)
    expect(combiner.notes?.['conflicts_more']).toBe(30)
  })

  it('keep the text of every number', async () => {
    expect(await all(['[12345678901234567890, 1.0, 1e400]', '[-0, 0.10]'])).toBe(
      '[12345678901234567890,1.0,1e400,-0,0.10]',
    )
  })

  it('do not change what an object is by a key named __proto__', async () => {
    const text = await all([
      '{"a": 1}',
      '{"__proto__": {"polluted": 1}}',
      '{"__proto__": {"b": 2}}',
    ])
    expect(text).toBe('{"a":1,"__proto__":{"polluted":1,"b":2}}')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(await all(['{"a": 1}', '{"constructor": 2, "toString": 3}'])).toBe(
      '{"a":1,"constructor":2,"toString":3}',
    )
  })

  it('stay what they are when there is only one', async () => {
    expect(await all([' 1.50 '])).toBe('1.50')
    expect(await all(['"```\\nnot a fence\\n```"'])).toBe('"```\\nnot a fence\\n```"')
  })

  it('leave out a part that failed, and tell', async () => {
    const combiner = make(3)
    expect(await combined(combiner, ['[1]', new Error('gone'), '[3]'])).toBe('[1,3]')
    expect(combiner.notes).toEqual({ missing: ['part 2 of 3 (line 2)'] })
    expect((await fault([new Error('gone')]))?.message).toBe('no part has an answer')
  })

  it.each([
    [['[1]', 'Sorry, no.'], 'the answer to part 2 of 2 (line 2) is not JSON'],
    [['[1]', '```\n[1,\n```'], 'the answer to part 2 of 2 (line 2) is not JSON'],
    [['[1]', '{}'], 'part 2 of 2 (line 2) is a JSON object, but part 1 of 2 (line 1) is an array'],
    [['[1]', '2'], 'part 2 of 2 (line 2) is neither a JSON array nor an object'],
    [['[1]', `${'['.repeat(100_000)}${']'.repeat(100_000)}`], 'nested too deeply'],
  ])('can not be made one, and say why: %#', async (texts, sentence) => {
    const error = await fault(texts)
    expect(error?.message).toContain(sentence)
    expect(error?.index).toBe(1)
  })

  it('say so as soon as it is certain', () => {
    expect(() => make(9).add({ index: 0, label: '', text: 'no' })).toThrow(CannotCombine)
  })

  it('are not held without end', () => {
    const combiner = make(9)
    const text = `"${'x'.repeat(33 * 1024 * 1024)}"`
    combiner.add({ index: 0, label: '', text: `[${text}]` })
    expect(() => combiner.add({ index: 1, label: '', text: `[${text}]` })).toThrow('64 MiB')
  })
})

describe('a schema', () => {
  const people = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'array',
    items: { $ref: '#/$defs/person' },
    $defs: {
      person: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string', format: 'made-up' } },
        additionalProperties: false,
      },
    },
  }

  it('is met by the whole', async () => {
    expect(await all(['[{"name":"a"}]', '[{"name":"b"}]'], people)).toBe(
      '[{"name":"a"},{"name":"b"}]',
    )
    await expect(all(['[1,2]', '[3]'], { type: 'array', maxItems: 2 })).rejects.toThrow(
      'the combined answer does not meet the schema: the whole must NOT have more than 2 items',
    )
  })

  it('is answered with the first faults by path', async () => {
    await expect(all(['[{"name":"a"}]', '[{"name":1, "b": 2}]'], people)).rejects.toThrow(
      'schema: /1 must NOT have additional properties (b); /1/name must be string',
    )
    const many = await fault([JSON.stringify(Array(100).fill(1))], people)
    expect(many?.message.split(';')).toHaveLength(5)
  })

  it('is read in the older language too', async () => {
    const tuple = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      items: [{ type: 'string' }],
    }
    expect(await all(['["a", 1]'], tuple)).toBe('["a",1]')
    expect((await fault(['[1]'], tuple))?.message).toContain('/0 must be string')
  })

  it('does not find in every object what none has', async () => {
    expect(await fault(['{}'], { required: ['constructor'] })).toBeDefined()
  })

  it('can not make a check that is over later, or never', async () => {
    expect(await fault(['1'], { $async: true, type: 'string' })).toBeDefined()
    const endless = { type: 'array', items: { type: 'string', pattern: '^(a+)+$' } }
    const error = await fault([JSON.stringify([`${'a'.repeat(60)}b`])], endless)
    expect(error?.message).toContain('takes more than 2000 ms')
  })
})
