import { describe, expect, it } from 'vitest'
import { BadSplit, readSplit, readSplitHeader } from '../../src/split/options.ts'

const plain = {
  when: 'always',
  by: undefined,
  size: undefined,
  overlap: 0,
  maxParallel: 0,
  language: undefined,
}

function complaint(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof BadSplit) return error.message
    throw error
  }
  throw new Error('it was taken')
}

describe('split of a body', () => {
  it('is wanted or not in one word', () => {
    for (const none of [undefined, null, false]) expect(readSplit(none)).toBeUndefined()
    expect(readSplit(true)).toEqual(plain)
    expect(readSplit({})).toEqual(plain)
    expect(readSplit('auto')).toEqual({ ...plain, when: 'auto' })
  })

  it('is read with all that it says, up to its bounds', () => {
    const most = { size: 1_000_000, overlap: 999_999, max_parallel: 10_000 }
    expect(readSplit({ by: 'code', language: 'c++', ...most })).toEqual({
      when: 'always',
      by: 'code',
      size: 1_000_000,
      overlap: 999_999,
      maxParallel: 10_000,
      language: 'c++',
    })
    expect(readSplit({ size: 1, overlap: 0, max_parallel: 0 })).toEqual({ ...plain, size: 1 })
    expect(readSplit({ by: 'auto', size: 3 })).toEqual({ ...plain, when: 'auto', size: 3 })
  })

  it.each([
    [{ size: 0 }, '"split.size"'],
    [{ size: Number.NaN }, '"split.size"'],
    [{ size: 1e300 }, '"split.size"'],
    [{ overlap: 1.5 }, '"split.overlap"'],
    [{ max_parallel: Number.POSITIVE_INFINITY }, '"split.max_parallel"'],
    [{ size: 2, overlap: 2 }, 'must be smaller'],
    [{ by: 'Lines' }, 'did you mean "lines"?'],
    [{ by: ['lines'] }, '"split.by" must be one of'],
    [{ by: 'zebra' }, '"split.by" must be one of lines, paragraphs'],
    [{ maxparallel: 1 }, 'did you mean "max_parallel"?'],
    [JSON.parse('{"__proto__": {"size": 3}}'), '"split.__proto__"'],
    [{ language: '' }, '"split.language"'],
    [{ language: 'x'.repeat(33) }, '"split.language"'],
  ])('%j is refused', (given, said) => {
    expect(complaint(() => readSplit(given))).toContain(said)
  })

  it('names every fault at once, but no more than a person reads', () => {
    const all = complaint(() =>
      readSplit({ by: 'x', size: 0, overlap: -1, max_parallel: -1, a: 1 }),
    )
    for (const key of ['a', 'by', 'size', 'overlap', 'max_parallel'])
      expect(all).toContain(`"split.${key}"`)
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, 1]))
    expect(complaint(() => readSplit(many)).length).toBeLessThan(2_000)
    expect(complaint(() => readSplit(many))).toMatch(/; and 980 more$/)
    const long = complaint(() => readSplit({ [`size${'x'.repeat(100_000)}`]: 1 }))
    expect(long.length).toBeLessThan(200)
  })
})

describe('X-Chasqui-Split', () => {
  it('says it in one word, in any case', () => {
    for (const [header, given] of [
      ['true', true],
      [' FALSE ', false],
      ['Auto', 'auto'],
    ] as const)
      expect(readSplitHeader(header)).toEqual({ given, combine: undefined, onError: undefined })
  })

  it('says it in pairs, with white space and quotes as headers have them', () => {
    expect(readSplitHeader(' by = lines ;size="10" ; combine=json; on_error=partial; ')).toEqual({
      given: { by: 'lines', size: 10 },
      combine: 'json',
      onError: 'partial',
    })
    expect(readSplitHeader('')).toEqual({ given: {}, combine: undefined, onError: undefined })
  })

  it('leaves to the check of a split what is no number', () => {
    for (const [size, given] of [
      ['1e3', '1e3'],
      ['-1', '-1'],
      ['0x10', '0x10'],
      ['9999999999999999', '9999999999999999'],
    ])
      expect(readSplitHeader(`size=${size}`).given).toEqual({ size: given })
  })

  it.each([
    ['lines', 'is written like'],
    ['by=', 'is written like'],
    ['=lines', 'is no key'],
    ['by=lines=size', 'is written like'],
    ['by=lines; by=tokens', '"by" twice'],
    ['bi=lines', 'did you mean "by"?'],
    ['__proto__=1', '"__proto__" is no key'],
    ['on-error=partial', 'did you mean "on_error"?'],
  ])('%s is refused', (header, said) => {
    expect(complaint(() => readSplitHeader(header))).toContain(said)
  })
})
