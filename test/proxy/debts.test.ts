import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Debts } from '../../src/proxy/manage/debts.ts'
import { scratchFolder } from '../help/scratch.ts'

function debtsIn(folder: string) {
  const noticed: string[] = []
  const debts = new Debts(folder, (sentence, { file }) => void noticed.push(`${sentence}: ${file}`))
  return { debts, noticed }
}

it('remembers over a restart what is owed, and forgets what is settled', async () => {
  using folder = scratchFolder()
  const { debts, noticed } = debtsIn(folder.path)
  debts.owe('den', 'llama3.2:latest')
  debts.owe('den', 'qwen3:latest')
  debts.settle('den', 'qwen3:latest')
  await debts.written()
  expect(debtsIn(folder.path).debts.of('den')).toEqual(['llama3.2:latest'])
  expect(noticed).toEqual([])
})

it.each([
  ['torn', '{"den": ["llama'],
  ['empty', ''],
  ['of another kind', '["den"]'],
  ['half right', '{"den": "llama3.2"}'],
])('keeps a file that is %s aside, says so, and goes on', async (_, text) => {
  using folder = scratchFolder()
  const file = join(folder.path, 'owed-deletes.json')
  writeFileSync(file, text)
  const { debts, noticed } = debtsIn(folder.path)
  expect(debts.of('den')).toEqual([])
  expect(noticed).toEqual([expect.stringContaining(`${file}.unreadable`)])
  expect(readFileSync(`${file}.unreadable`, 'utf8')).toBe(text)
  expect(existsSync(file)).toBe(false)
  debts.owe('den', 'm:latest')
  await debts.written()
  expect(debtsIn(folder.path)).toMatchObject({ noticed: [] })
})

it('starts over what a killed process left beside it', async () => {
  using folder = scratchFolder()
  writeFileSync(join(folder.path, 'owed-deletes.json'), '{"den":["a:latest"]}')
  writeFileSync(join(folder.path, 'owed-deletes.json.new'), '{"den":["a:latest","b:la')
  const { debts, noticed } = debtsIn(folder.path)
  expect([debts.of('den'), noticed]).toEqual([['a:latest'], []])
  debts.owe('den', 'c:latest')
  await debts.written()
  expect(debtsIn(folder.path).debts.of('den')).toEqual(['a:latest', 'c:latest'])
})

it('says so when the file can be neither read nor moved', () => {
  using folder = scratchFolder()
  mkdirSync(join(folder.path, 'owed-deletes.json.unreadable'))
  mkdirSync(join(folder.path, 'owed-deletes.json'))
  writeFileSync(join(folder.path, 'owed-deletes.json.unreadable', 'x'), '')
  const { debts, noticed } = debtsIn(folder.path)
  expect(debts.of('den')).toEqual([])
  expect(noticed).toEqual([expect.stringContaining('can not be read')])
})
