import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FailureCode, failures } from '../../src/core/failure.ts'
import { errorAnswer } from '../../src/dialects/errors.ts'

const home = resolve(import.meta.dirname, '../..')
const table = 'src/core/failure.ts'
const sources = readdirSync(join(home, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((file) => file !== join(home, table))
  .map((file) => readFileSync(file, 'utf8'))
const codes = Object.keys(failures) as FailureCode[]

describe('the table of failures', () => {
  it('has every code that is answered', () => {
    const used = sources.flatMap((text) =>
      [...text.matchAll(/new Failure\(\s*'(\w+)'|\bcode: '(?!custom)([a-z_]+)'/g)].map(
        ([, thrown, said]) => thrown ?? said,
      ),
    )
    expect(used.length).toBeGreaterThan(30)
    expect(used.filter((code) => code === undefined || !(code in failures))).toEqual([])
  })

  it('has no code that nothing answers', () => {
    const unused = codes.filter((code) => !sources.some((text) => text.includes(`'${code}'`)))
    expect(unused).toEqual([])
  })

  it.each(codes)('%s has a status, a sentence to act on, and a whole problem document', (code) => {
    const { status, fix } = failures[code]
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect(fix).toMatch(/^[A-Z].{8,}\S$/)
    const { contentType, body } = errorAnswer('own', status, 'why', { code, requestId: 'r1' })
    expect(contentType).toBe('application/problem+json')
    expect(JSON.parse(body.toString())).toEqual({
      type: `urn:chasqui:problem:${code}`,
      title: code.replaceAll('_', ' '),
      status,
      detail: 'why',
      code,
      fix,
      instance: 'r1',
    })
  })

  it('has a status and a code that belong together wherever both are said', () => {
    expect(failures.body_too_large.status).toBe(413)
    expect(failures.model_unknown.status).toBe(404)
    for (const code of ['model_away', 'all_away', 'no_backend', 'queue_full'] as const)
      expect(failures[code].status).toBe(503)
  })
})
