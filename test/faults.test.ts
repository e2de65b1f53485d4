import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const folder = import.meta.dirname
const rows = readFileSync(join(folder, 'faults.md'), 'utf8')
  .split('\n## ')[0]!
  .split('\n')
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))

it.each(rows.map(([, number, , file, title]) => [number, file, title] as const))(
  'fault %s is tried by %s',
  (_number, file = '', title = '') => {
    const path = join(folder, file.includes('/') ? file : join('journeys', file))
    expect(existsSync(`${path}.test.ts`)).toBe(true)
    expect(readFileSync(`${path}.test.ts`, 'utf8')).toContain(title)
  },
)
