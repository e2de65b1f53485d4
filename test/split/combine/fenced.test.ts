import { describe, expect, it } from 'vitest'
import { fenced } from '../../../src/split/combine/fenced.ts'

describe('a fenced block', () => {
  it.each([
    ['```json\n[1]\n```', '[1]'],
    ['Sure!\n\n```\na\n\nb\n```\n\nThat is all.', 'a\n\nb'],
    ['~~~yaml title="x`y"\na: 1\n~~~', 'a: 1'],
    ['````\n```\ninner\n```\n````', '```\ninner\n```'],
    ['```\nnever closed\n', 'never closed\n'],
    ['  ```\n  - a\n    - b\n  ```', '- a\n  - b'],
    ['```\n~~~\n```', '~~~'],
    ['```\n```', ''],
    ['```\n    ```\n```', '    ```'],
  ])('is taken out of %j', (text, content) => {
    expect(fenced(text)).toBe(content)
  })

  it.each([
    '',
    'no block',
    '```\na\n```\n```\nb\n```',
    '    ```\n    code\n    ```',
    '`` `x` ``',
    '``` a`b',
  ])('is not seen in %j', (text) => {
    expect(fenced(text)).toBe(text)
  })
})
