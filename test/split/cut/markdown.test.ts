import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { markdownBlocks } from '../../../src/split/cut/markdown-blocks.ts'
import { PartTooLarge } from '../../../src/split/cut/splitter.ts'
import { cutText } from '../../../src/split/cut/splitters.ts'
import { expectWhole, labelsOf, markdownTexts, slicesOf, textsOf, wishesOf } from './help.ts'

const cut = (text: string, wishes = {}) => cutText('markdown', text, wishesOf(wishes))

describe('markdown', () => {
  it('keeps headings with what follows, and carries them where a part begins without', async () => {
    const text =
      '# Guide\n\n## Aims\n\nFirst paragraph.\n\nSecond paragraph.\n\n## Ends\n\nThird.\n'
    const parts = await cut(text, { size: 40 })
    expect(slicesOf(text, parts)).toEqual([
      '# Guide\n\n## Aims\n\nFirst paragraph.\n\n',
      'Second paragraph.\n\n## Ends\n\nThird.\n',
    ])
    expect(parts[1]!.text).toBe(`# Guide\n## Aims\n\n${slicesOf(text, parts)[1]}`)
    expect(labelsOf(parts)).toEqual(['Guide › Aims', 'Guide › Aims … Ends'])
  })

  it('carries nothing before a heading', async () => {
    const text = '# A\n\nText one.\n\n## B\n\nText two.\n'
    expect(textsOf(await cut(text, { size: 17 }))).toEqual([
      '# A\n\nText one.\n\n',
      '## B\n\nText two.\n',
    ])
  })

  it('leaves a chapter with its sections, and knows headings that are underlined', async () => {
    const text = 'A *b*\n=====\n\n## C\n\nOne.\n\n# D\n\nNumber two.\n\nThree.\n'
    const parts = await cut(text, { size: 14 })
    expect(textsOf(parts)).toEqual([
      'A *b*\n=====\n\n## C\n\nOne.\n\n',
      '# D\n\nNumber two.\n\n',
      '# D\n\nThree.\n',
    ])
    expect(labelsOf(parts)).toEqual(['A *b* › C', 'D', 'D'])
  })

  it('drops the outer headings where there is no room for all', async () => {
    const text = '# A long title\n## B\nSome.\n\nTwelve here.\n'
    expect(textsOf(await cut(text, { tokensMax: 27 })).at(-1)).toBe('## B\n\nTwelve here.\n')
  })

  it('never cuts fences and tables', async () => {
    const whole = [
      '```\ncode\n\n# no heading\n\n| a |\n```\n',
      '| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n',
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.constantFrom(...whole),
            markdownTexts.map((text) => text.slice(0, 60)),
          ),
        ),
        fc.integer({ min: 1, max: 80 }),
        async (blocks, size) => {
          // A fence of somebody else's that never closes would swallow these.
          const text = blocks.map((each) => each.replaceAll('~~~', '')).join('\n\n')
          const wish = wishesOf({ size })
          const parts = await cutText('markdown', text, wish)
          expectWhole(text, parts, wish)
          const starts = new Set(parts.map(({ start }) => start))
          for (const block of whole)
            for (let at = text.indexOf(block); at >= 0; at = text.indexOf(block, at + 1)) {
              if (insideFence(text, at)) continue
              for (let inside = at + 1; inside < at + block.length; inside++)
                expect(starts.has(inside)).toBe(false)
            }
        },
      ),
    )
  })

  it('refuses a fence or a table that is too large, and says where it is', async () => {
    const fence = `# A\n\nText.\n\n\`\`\`\n${'code\n'.repeat(20)}\`\`\`\n`
    await expect(cut(fence, { tokensMax: 60 })).rejects.toThrow(PartTooLarge)
    await expect(cut(fence, { tokensMax: 60 })).rejects.toThrow('A, code block at line 5 has about')
    const table = `| a | b |\n|---|---|\n${'| 1 | 2 |\n'.repeat(9)}`
    await expect(cut(table, { tokensMax: 60 })).rejects.toThrow('table at line 1 has about')
  })

  it('parts a fence from its heading rather than refuse it', async () => {
    const text = '# Title\n\n```\n12345678901234567890\n```\n'
    const parts = await cut(text, { tokensMax: 30 })
    expect(slicesOf(text, parts)).toEqual(['# Title\n\n', '```\n12345678901234567890\n```\n'])
  })

  it('cuts large prose by sentences and large lists by their items', async () => {
    const prose = '# A\n\nFirst sentence. Second sentence. Third one.\n'
    expect(slicesOf(prose, await cut(prose, { size: 25 }))).toEqual([
      '# A\n\nFirst sentence. ',
      'Second sentence. ',
      'Third one.\n',
    ])
    const list = '- one\n- two\n  - inner\n  - more\n- three\n'
    expect(slicesOf(list, await cut(list, { size: 16 }))).toEqual([
      '- one\n- two\n',
      '  - inner\n',
      '  - more\n',
      '- three\n',
    ])
    expect(slicesOf(list, await cut(list))).toEqual([list])
  })

  it('is 1024 tokens to a part', async () => {
    const parts = await cut('Word.\n\n'.repeat(400))
    expect(parts.map(({ tokens }) => tokens)).toEqual([1022, 1022, 756])
    expect(labelsOf(parts)[0]).toBe('lines 1-292')
  })

  it('takes front matter for no heading, and a byte order mark for nothing', async () => {
    const text = '\ufeff---\ntitle: x\n---\n# A\n\nNumber one.\n\nNumber two.\n'
    const parts = await cut(text, { size: 20 })
    expect(textsOf(parts)).toEqual([
      '\ufeff---\ntitle: x\n---\n',
      '# A\n\nNumber one.\n\n',
      '# A\n\nNumber two.\n',
    ])
    expect(labelsOf(await cut('\ufeff# Title\n\nText.\n'))).toEqual(['Title'])
  })

  it('reads a long text in windows, and cuts it as if in one', async () => {
    const section = `## S\n\n${'Words and words. '.repeat(20)}\n\n\`\`\`\n${'Code\n\n'.repeat(60)}\`\`\`\n\n`
    const text = `# T\n\n${section.repeat(60)}`
    const parts = await cut(text, { size: 800 })
    expect(parts).toHaveLength(60)
    expect(
      textsOf(parts)
        .slice(1)
        .filter((each) => each !== section),
    ).toEqual([])
  })

  // The parser takes time with the square of these: a list of 16 KB stopped every stream for a second, one of 60 KB
  // took fifteen.
  it('is not held up by lists and underlined headings without blank lines', async () => {
    const before = process.cpuUsage()
    for (const text of ['- a\n  - b\n'.repeat(6_000), '---\na: 1\n'.repeat(7_000)])
      expectWhole(text, await cut(text), wishesOf())
    expect(process.cpuUsage(before).user).toBeLessThan(10_000_000)
  })

  it('takes no line of wrapped prose for an item of a list', async () => {
    const text = `${'Words upon words.\n'.repeat(80)}1986. A year.\n${'And on it goes.\n'.repeat(80)}`
    const [block, ...others] = await markdownBlocks(text)
    expect([block?.kind, block?.end, others]).toEqual(['paragraph', text.length, []])
  })

  it('cuts a long list between its items, wherever a window ends', async () => {
    const entry = '- an item\n\n  with a paragraph\n  ```\n- code\n  ```\n\n1. another\n'
    const text = `Before.\n\n${entry.repeat(100)}\n\`\`\`\n${'- code\n# code\n---\n'.repeat(200)}\`\`\`\n`
    const parts = await cut(text, { size: 300, tokensMax: 10_000 })
    const fenceFrom = text.lastIndexOf('```\n- code\n#')
    expect(parts.filter(({ start }) => start > fenceFrom)).toEqual([])
    expect(slicesOf(text, parts).join('')).toBe(text)
  })

  it('is not held up by nesting without end', async () => {
    const before = process.cpuUsage()
    for (const text of ['>'.repeat(20_000), '- '.repeat(5_000), '1. '.repeat(5_000)])
      expectWhole(text, await cut(text), wishesOf())
    expect(process.cpuUsage(before).user).toBeLessThan(10_000_000)
  })
})

/** An opening line may say a language, a closing one may not. */
function insideFence(text: string, at: number): boolean {
  let inside = false
  for (const line of text.slice(0, at).split(/\r\n|[\r\n]/))
    if (inside ? /^ {0,3}```+[ \t]*$/.test(line) : /^ {0,3}```/.test(line)) inside = !inside
  return inside
}
