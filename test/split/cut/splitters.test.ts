import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isLineLike, sniff } from '../../../src/split/cut/splitters.ts'

const source = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

describe('the splitter that suits a text', () => {
  it.each([
    ['markdown', '# Title\n\nText.\n'],
    ['markdown', 'Text.\n\n## Section\ntext\n'],
    ['markdown', 'Look:\n\n```python\nimport os\nimport re\ndef f():\n  pass\n```\n'],
    ['records', '{"a":1}\n{"a":2}\n'],
    ['records', '[\n  {"a": 1},\n  {"a": 2}\n]\n'],
    ['records', '[1, 2, 3]'],
    ['records', 'name,age\nA,1\nB,2\nC,3\n'],
    ['records', 'apiVersion: v1\nkind: Pod\n---\n# Source: x\napiVersion: v1\n'],
    ['records', '2024-05-01 10:00:00 up\n2024-05-01 10:00:01 down\n'],
    ['code', 'import os\n\ndef f(x):\n    return x\n'],
    ['code', '#!/bin/bash\nset -e\nif [ -f x ]; then\n  echo y\nfi\n'],
    ['code', 'package main\n\nfunc main() {\n\tx := 1\n}\n'],
    ['lines', 'Buy milk\nCall Joe\nWater plants\nPay rent\nSweep\nCook\nRead\nSleep\n'],
    ['paragraphs', 'It was, they said, so.\nAnd then, of course, not.\n\nMore prose.\n'],
    ['paragraphs', 'One long line of text. It goes on. '.repeat(50)],
    [
      'paragraphs',
      `${'Some text that was wrapped by hand, and\nthat goes on in lower case.\n'.repeat(9)}\n`,
    ],
    ['paragraphs', ''],
  ])('%s: %j', (name, text) => {
    expect(sniff(text)).toBe(name)
  })

  it.each([
    ['src/README.md', 'markdown'],
    ['src/split/cut/pack.ts', 'code'],
  ])('%s: %s', (path, name) => {
    expect(sniff(source(path))).toBe(name)
  })

  it('is found by the beginning, however long the text is', () => {
    const before = process.cpuUsage()
    expect(sniff('{"a":1}\n'.repeat(2_000_000))).toBe('records')
    expect(sniff('word '.repeat(4_000_000))).toBe('paragraphs')
    expect(process.cpuUsage(before).user).toBeLessThan(10_000_000)
  })
})

describe('answers to parts', () => {
  it('stand on lines of their own where the parts do', () => {
    const names = ['lines', 'records', 'paragraphs', 'tokens', 'items'] as const
    expect(names.filter((name) => !isLineLike(name))).toEqual(['tokens'])
    expect(isLineLike('sentences')).toBe(false)
  })
})
