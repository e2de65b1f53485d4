import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPs, readShow, readTags } from '../../src/pool/catalogue.ts'

const one = (entry: object) => readTags({ models: [entry] })[0]

describe('what a server says of its models', () => {
  it('is read as it stands in a list of Ollama', () => {
    const entry = {
      name: 'Llama3.2',
      model: 'Llama3.2:latest',
      modified_at: '2026-01-02T03:04:05Z',
      size: 2_019_393_189,
      digest: 'a80c4f17acd5',
      details: { family: 'llama', context_length: 131_072 },
      capabilities: ['completion', 'tools'],
    }
    expect(one(entry)).toEqual({
      canonical: 'llama3.2:latest',
      digest: 'a80c4f17acd5',
      sizeBytes: 2_019_393_189,
      modifiedAt: '2026-01-02T03:04:05Z',
      capabilities: new Set(['completion', 'tools']),
      contextTrained: 131_072,
      remote: false,
      entry,
    })
    expect(
      readPs({
        models: [{ name: 'm', size: 10, size_vram: 4, context_length: 4_096, expires_at: 'soon' }],
      }),
    ).toMatchObject([
      {
        canonical: 'm:latest',
        sizeBytes: 10,
        sizeVramBytes: 4,
        contextLoaded: 4_096,
        expiresAt: 'soon',
      },
    ])
    expect(
      readShow({ capabilities: ['embedding'], model_info: { 'bert.context_length': 512 } }),
    ).toEqual({ capabilities: new Set(['embedding']), contextTrained: 512 })
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a text', 'models'],
    ['a list', [{ name: 'm' }]],
    ['null', { models: null }],
    ['an object for a list', { models: { name: 'm' } }],
    ['entries that are none', { models: [null, 1, 'm', [], {}] }],
    ['names that are none', { models: [{ name: 7 }, { model: '' }, { name: 'x'.repeat(1_001) }] }],
  ])('is no model when it is %s', (_, body) => {
    expect([readTags(body), readPs(body)]).toEqual([[], []])
  })

  it('loses only the fields that are of the wrong type', () => {
    const wrong = one({
      name: 'm',
      digest: 5,
      size: '2 GB',
      modified_at: {},
      capabilities: 'completion',
      details: [],
    })
    expect(wrong).toMatchObject({
      canonical: 'm:latest',
      digest: undefined,
      sizeBytes: undefined,
      modifiedAt: '',
      capabilities: undefined,
      contextTrained: undefined,
    })
    expect(one({ name: 'm', size: -1, details: { context_length: 0 } })).toMatchObject({
      sizeBytes: undefined,
      contextTrained: undefined,
    })
    expect(readPs({ models: [{ name: 'm', context_length: 0 }] })).toMatchObject([
      { contextLoaded: undefined },
    ])
    expect(one({ name: 'm', capabilities: ['tools', 7, 'x'.repeat(64)] })?.capabilities).toEqual(
      new Set(['tools']),
    )
  })

  it('is cut where no fleet is that large', () => {
    const models = Array.from({ length: 50_000 }, (_, index) => ({ name: `m${index}` }))
    expect(readTags({ models })).toHaveLength(10_000)
    const capabilities = Array.from({ length: 100_000 }, (_, index) => `c${index}`)
    expect(one({ name: 'm', capabilities })?.capabilities?.size).toBe(64)
  })

  it('never throws, whatever it is', () => {
    const entry = fc.dictionary(
      fc.constantFrom(
        'name',
        'model',
        'digest',
        'size',
        'details',
        'capabilities',
        'model_info',
        'context_length',
        '__proto__',
      ),
      fc.anything(),
    )
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.record({ models: fc.array(entry) }), entry),
        (body) => {
          for (const { canonical } of [...readTags(body), ...readPs(body)])
            expect(canonical).toEqual(expect.any(String))
          readShow(body)
        },
      ),
    )
  })
})
