import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { exactness } from '../../../src/proxy/continuing/exactness.ts'

describe('the table of what such an answer is worth', () => {
  it('stands in the notes as it stands in the code', () => {
    const notes = readFileSync(new URL('../../../src/README.md', import.meta.url), 'utf8')
    for (const row of Object.values(exactness))
      expect(notes).toContain(`| ${row.case} | ${row.guarantee} |`)
  })
})
