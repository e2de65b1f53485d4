import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SplitFlags } from '../../src/cli/split-flags.ts'
import { bodyFor, commonFields, cutOf } from '../../src/cli/split-request.ts'
import { scratchFolder } from '../help/scratch.ts'

describe('how a file is cut', () => {
  it.each([
    ['report.md', {}, { by: 'markdown' }],
    ['a/B.CSV', {}, { by: 'records' }],
    ['events.jsonl', {}, { by: 'records' }],
    ['proxy.log', {}, { by: 'records' }],
    ['fleet.yml', {}, { by: 'records' }],
    ['main.ts', {}, { by: 'code', language: 'ts' }],
    ['tool.py', {}, { by: 'code', language: 'py' }],
    ['notes.txt', {}, { by: 'auto' }],
    ['Makefile', {}, { by: 'auto' }],
    ['python', {}, { by: 'auto' }],
    [undefined, {}, { by: 'auto' }],
    [undefined, { language: 'go' }, { by: 'code', language: 'go' }],
    ['main.ts', { by: 'lines' }, { by: 'lines' }],
    ['main.ts', { by: 'code', language: 'tsx' }, { by: 'code', language: 'tsx' }],
    ['notes.txt', { by: 'code' }, { by: 'code' }],
  ])('%s with %j: %j', (path, flags, cut) => {
    expect(cutOf(path, flags)).toEqual({ language: undefined, ...cut })
  })
})

describe('the request', () => {
  const input = { name: 'a.txt', path: 'a.txt', bytes: 3, text: 'abc' }
  const bodyOf = async (flags: SplitFlags, text = 'abc') =>
    JSON.parse(bodyFor({ ...input, text }, flags, await commonFields(flags, 'm')).toString())

  it('says what was said, and nothing else', async () => {
    expect(await bodyOf({})).toEqual({
      model: 'm',
      stream: true,
      input: 'abc',
      split: { by: 'auto' },
    })
    expect(
      await bodyOf({
        ask: 'Why?',
        by: 'lines',
        size: 5,
        overlap: 1,
        maxParallel: 3,
        onError: 'partial',
        system: 'short',
        priority: 'batch',
        timeout: '90',
        format: 'json',
        dryRun: true,
      }),
    ).toEqual({
      model: 'm',
      stream: true,
      dry_run: true,
      input: 'abc',
      instruction: 'Why?',
      system: 'short',
      on_error: 'partial',
      priority: 'batch',
      timeout: 90,
      format: 'json',
      split: { by: 'lines', size: 5, overlap: 1, max_parallel: 3 },
    })
    expect(await bodyOf({ timeout: '90s' })).toMatchObject({ timeout: '90s' })
  })

  it.each([
    [{ combine: 'vote' }, 'vote'],
    [{ combine: '{"by": "concat", "with": "; "}' }, { by: 'concat', with: '; ' }],
    [{ instruction: 'Merge.' }, { by: 'reduce', instruction: 'Merge.' }],
    [
      { combine: 'reduce', instruction: 'Merge.' },
      { by: 'reduce', instruction: 'Merge.' },
    ],
    [
      { combine: '{"by": "reduce", "model": "big"}', instruction: 'Merge.' },
      { by: 'reduce', model: 'big', instruction: 'Merge.' },
    ],
  ])('%j combines by %j', async (flags, combine) => {
    expect(await bodyOf(flags)).toMatchObject({ combine })
  })

  it('takes a schema from a file, and says what is wrong with one', async () => {
    using folder = scratchFolder()
    const format = join(folder.path, 'schema.json')
    writeFileSync(format, '{"type": "array"}')
    expect(await bodyOf({ format })).toMatchObject({ format: { type: 'array' } })
    writeFileSync(format, '{"type": ')
    await expect(bodyOf({ format })).rejects.toThrow(`${format} is no JSON`)
    await expect(bodyOf({ format: 'nowhere' })).rejects.toThrow('nowhere can not be read')
    await expect(bodyOf({ combine: '{by' })).rejects.toThrow('--combine is no JSON')
  })

  it('sends the elements of a JSON array as items', async () => {
    expect(await bodyOf({ by: 'items' }, '[1, "two"]')).toMatchObject({ input: [1, 'two'] })
    await expect(bodyOf({ by: 'items' }, '{}')).rejects.toThrow('a.txt is no JSON array')
    await expect(bodyOf({ by: 'items' }, 'abc')).rejects.toThrow('a.txt is no JSON array')
  })
})
