import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ConcatOptions, concat } from '../../../src/split/combine/concat.ts'
import { answersOf, combined } from './help.ts'

const make = (options: Partial<ConcatOptions> = {}) =>
  concat({ parts: 3, with: undefined, lineLike: true, overlapping: false, ...options })

describe('answers one after the other', () => {
  it('puts a line break where one is missing', async () => {
    expect(await combined(make(), ['a', 'b\n', 'c'])).toBe('a\nb\nc')
    expect(await combined(make(), ['a\n', '', 'c'])).toBe('a\nc')
    expect(await combined(make(), ['', 'b', ''])).toBe('b')
  })

  it('puts nothing between where the input was not cut at line ends', async () => {
    expect(await combined(make({ lineLike: false }), ['a', 'b\n', 'c'])).toBe('ab\nc')
  })

  it('puts between what was asked for, and only that', async () => {
    expect(await combined(make({ with: '\n--\n' }), ['a\n', 'b', ''])).toBe('a\n\n--\nb\n--\n')
    expect(await combined(make({ with: '' }), ['a', 'b', 'c'])).toBe('abc')
  })

  it('is the join of all answers, in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string()), fc.string(), async (texts, between) => {
        expect(await combined(make({ with: between }), texts)).toBe(texts.join(between))
        expect(await combined(make({ lineLike: false }), texts)).toBe(texts.join(''))
        const lines = texts.map((text) => `${text}\n`)
        expect(await combined(make(), lines)).toBe(lines.join(''))
      }),
    )
  })

  it('lets each answer out at once', () => {
    const combiner = make()
    const [first, second] = answersOf(['a', 'b'])
    expect(combiner.add(first!)).toBe('a')
    expect(combiner.add(second!)).toBe('\nb')
    expect(combiner.end()).toBe('')
  })

  it('leaves a hole on a line of its own that names the part and why', async () => {
    const hole = '[part 2 of 3 (line 2) is missing: the runner died at once]'
    const failed = new Error('the runner\n died\tat once')
    expect(await combined(make(), ['a', failed, 'c'])).toBe(`a\n${hole}\nc`)
    expect(await combined(make({ lineLike: false }), ['a', failed, 'c'])).toBe(`a\n${hole}\nc`)
    expect(await combined(make({ with: ', ' }), ['a', failed, 'c'])).toBe(`a, \n${hole}\n, c`)
    expect(await combined(make({ with: '\n' }), ['a', failed, 'c'])).toBe(`a\n${hole}\nc`)
  })

  it('keeps every hole on its own line, wherever it is', async () => {
    const text = fc.oneof(fc.constantFrom('', 'a', 'b\n', '\n'), fc.constant(new Error('gone')))
    await fc.assert(
      fc.asyncProperty(
        fc.array(text),
        fc.constantFrom(undefined, '', ', ', '\n--\n'),
        fc.boolean(),
        async (texts, between, lineLike) => {
          const out = await combined(make({ with: between, lineLike }), texts)
          const holes = out
            .split('\n')
            .filter((line) => /^\[part .* is missing: gone\]$/.test(line))
          expect(holes).toHaveLength(texts.filter((one) => typeof one !== 'string').length)
        },
      ),
    )
  })
})

describe('answers to parts that overlap', () => {
  const long = 'a line that is long enough'
  const make2 = () => make({ overlapping: true })

  it('drops the lines that the answer before ended with', async () => {
    const combiner = make2()
    expect(await combined(combiner, [`x\n${long}\n`, `${long}\ny\n`])).toBe(`x\n${long}\ny\n`)
    expect(combiner.notes).toEqual({ repeated_lines_dropped: 1, answers_trimmed: 1 })
  })

  it('drops them also where the answer before did not end its last line', async () => {
    expect(await combined(make2(), [`x\n${long}`, `${long}\ny`])).toBe(`x\n${long}\ny`)
    const gapless = make({ overlapping: true, lineLike: false })
    expect(await combined(gapless, [`x\n${long}`, `${long}\ny`])).toBe(`x\n${long}\ny`)
  })

  it('drops the longest run, once', async () => {
    expect(await combined(make2(), ['p\nq\np\nq', 'p\nq\np\nq\nr'])).toBe('p\nq\np\nq\nr')
    expect(await combined(make2(), ['p\nq', 'p\nq\np\nq\nr'])).toBe('p\nq\np\nq\nr')
    expect(await combined(make2(), [`x\n${long}`, long])).toBe(`x\n${long}`)
  })

  it.each([
    ['one short line', '{\n}', '}\nx'],
    ['blank lines', 'x\n\n\n\n', '\n\ny'],
    ['half a line', `x\n${long}`, `${long} and more\ny`],
    ['lines that only resemble', `x\n${long}`, ` ${long}\ny`],
    ['lines further down', `x\n${long}`, `z\n${long}\ny`],
  ])('keeps %s', async (_, before, text) => {
    expect(await combined(make2(), [before, text])).toBe(
      before + (before.endsWith('\n') ? '' : '\n') + text,
    )
  })

  it('compares with nothing behind a hole', async () => {
    expect(await combined(make2(), [long, new Error('gone'), long])).toContain(`gone]\n${long}`)
  })

  it('finds what a slow search finds', async () => {
    const lines = fc.array(fc.constantFrom('aa', 'bb'), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(lines, lines, async (before, after) => {
        let same = Math.min(before.length, after.length)
        const overlaps = (n: number) =>
          before.slice(before.length - n).join() === after.slice(0, n).join()
        while (!overlaps(same)) same--
        const dropped = same >= 2 ? same : 0
        expect(await combined(make2(), [before.join('\n'), after.join('\n')])).toBe(
          [...before, ...after.slice(dropped)].join('\n'),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('takes no longer for an answer that repeats itself', async () => {
    const same = 'again\n'.repeat(200_000)
    const combiner = make2()
    expect(await combined(combiner, [`${same}x\n`, `${same}y\n`])).toHaveLength(same.length * 2 + 4)
  }, 5_000)
})
