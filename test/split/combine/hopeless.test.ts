import { describe, expect, it } from 'vitest'
import { whyHopeless, whyNotJoinable } from '../../../src/split/combine/hopeless.ts'

const node = (child: object) => ({
  type: 'object',
  required: ['child'],
  properties: { child },
})

describe('a schema that no answer can meet', () => {
  it.each<[object, string]>([
    [{ type: 'list' }, 'it is not a valid JSON schema'],
    [{ type: 'string', pattern: '(' }, 'it is not a valid JSON schema'],
    [{ $ref: '#/$defs/nowhere' }, 'it is not a valid JSON schema'],
    [{ not: {} }, 'the answer must not be anything'],
    [{ enum: [] }, 'no value is allowed for the answer'],
    [{ enum: [1, 2], const: 3 }, 'no value is allowed for the answer'],
    [{ type: 'number', minimum: 2, maximum: 1 }, 'a least value above its greatest'],
    [{ type: 'number', exclusiveMinimum: 1, maximum: 1 }, 'a least value above its greatest'],
    [{ type: 'integer', minimum: 1.2, maximum: 1.8 }, 'no whole number is left'],
    [{ type: 'integer', exclusiveMinimum: 1, exclusiveMaximum: 2 }, 'no whole number is left'],
    [{ type: 'string', minLength: 3, maxLength: 2 }, '"minLength" 3 above "maxLength" 2'],
    [{ type: 'array', minItems: 3, maxItems: 2 }, '"minItems" 3 above "maxItems" 2'],
    [{ type: 'object', minProperties: 3, maxProperties: 2 }, '"minProperties" 3 above'],
    [{ type: 'object', required: ['a', 'b'], maxProperties: 1 }, 'needs 2 names and may have 1'],
    [{ type: 'object', minProperties: 1, additionalProperties: false }, 'needs more names'],
    [{ type: 'object', required: ['a'], properties: { a: false } }, '/a is not allowed'],
    [{ type: 'object', required: ['a'], additionalProperties: false }, 'needs "a", which'],
    [{ type: 'string', const: 1 }, 'no allowed value of the answer is of type string'],
    [{ type: ['string', 'null'], enum: [1, true] }, 'is of type null or string'],
    [node(node({ enum: [] })), 'no value is allowed for /child/child'],
    [{ allOf: [{}, { type: 'string', const: 1 }] }, 'no allowed value'],
    [{ anyOf: [false, { enum: [] }] }, 'no choice of "anyOf" is possible'],
    [{ type: 'array', minItems: 1, items: false }, 'needs 1 items, and /0 is not allowed'],
    [{ type: 'array', minItems: 2, prefixItems: [{}, false] }, '/1 is not allowed'],
    [{ $ref: '#/$defs/a~1b%20c', $defs: { 'a/b c': { enum: [] } } }, 'no value is allowed'],
    [node({ $ref: '#' }), '/child must hold itself, without end'],
    [{ $defs: { a: { allOf: [{ $ref: '#/$defs/a' }] } }, $ref: '#/$defs/a' }, 'must hold itself'],
  ])('is %j', async (schema, sentence) => {
    expect(await whyHopeless(schema)).toContain(sentence)
  })

  it.each<[object]>([
    [{}],
    [{ type: 'array', items: { type: 'string' } }],
    // Bounds of numbers bind nothing but numbers.
    [{ minimum: 2, maximum: 1 }],
    [{ type: ['string', 'integer'], minimum: 2, maximum: 1 }],
    [{ type: 'integer', minimum: 1, maximum: 1 }],
    [{ type: 'object', properties: { a: false } }],
    [
      {
        type: 'object',
        required: ['a'],
        additionalProperties: false,
        patternProperties: { a: {} },
      },
    ],
    [{ type: 'array', items: false }],
    [{ type: 'array', minItems: 1, prefixItems: [{}], items: false }],
    [{ type: 'string', nullable: true, enum: [null] }],
    [{ anyOf: [false, {}] }],
    [node({ anyOf: [{ type: 'null' }, { $ref: '#' }] })],
    [{ type: 'object', properties: { child: { $ref: '#' } } }],
    [{ items: [{ type: 'string' }], additionalItems: false }],
    [{ type: 'string', pattern: '^a\\-b$' }],
    [{ $schema: 'http://json-schema.org/draft-04/schema#', type: 'object' }],
    [{ type: 'string', format: 'made-up', 'x-note': 1 }],
  ])('is not %j', async (schema) => {
    expect(await whyHopeless(schema)).toBeUndefined()
  })

  it('is looked for within bounds, however often references multiply', async () => {
    const twice = tower((next) => ({
      type: 'object',
      required: ['a', 'b'],
      properties: { a: next, b: next },
    }))
    expect(await whyHopeless(twice)).toBeUndefined()
  })
})

describe('a schema that several answers can not meet together', () => {
  it.each<[object]>([
    [{ type: 'string' }],
    [{ type: ['integer', 'null'] }],
    [{ enum: ['a', 'b'] }],
    [{ anyOf: [{ type: 'string' }, { const: 1 }] }],
    [{ $ref: '#/$defs/a', $defs: { a: { type: 'boolean' } } }],
    [{ allOf: [{ type: 'number' }] }],
  ])('is %j', (schema) => {
    expect(whyNotJoinable(schema)).toContain('only arrays and objects')
  })

  it.each<[object]>([
    [{}],
    [{ type: 'array' }],
    [{ type: ['object', 'null'] }],
    [{ anyOf: [{ type: 'string' }, { type: 'array' }] }],
    [{ $ref: '#' }],
    [{ $ref: 'https://elsewhere.example/schema' }],
  ])('is not %j', (schema) => {
    expect(whyNotJoinable(schema)).toBeUndefined()
  })

  it('is looked for within bounds too', () => {
    expect(whyNotJoinable(tower((next) => ({ anyOf: [next, next] })))).toBeUndefined()
    expect(whyNotJoinable(tower((next) => ({ allOf: [next, next] })))).toBeUndefined()
  })
})

/** Sixty schemas, each made of the next, which is as much as anything at the end. */
function tower(of: (next: object) => object): object {
  const floors = Array.from({ length: 60 }, (_, n) => [`d${n}`, of({ $ref: `#/$defs/d${n + 1}` })])
  return { $ref: '#/$defs/d0', $defs: { ...Object.fromEntries(floors), d60: {} } }
}
