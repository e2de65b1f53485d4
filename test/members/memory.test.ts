import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Known, Memory } from '../../src/members/memory.ts'
import { scratchFolder } from '../help/scratch.ts'

const ash: Known = {
  name: 'ash',
  kind: 'agent',
  answer: 'accepted',
  serving: true,
  address: '10.0.0.1',
  origin: 'http://10.0.0.1:11436',
  labels: ['gpu'],
}

async function readBack(folder: string, notice: (sentence: string) => void = () => {}) {
  const memory = new Memory(folder, notice)
  await memory.read()
  return memory
}

describe('who was accepted', () => {
  it('is known after a restart, in a file that only we can read', async () => {
    using folder = scratchFolder()
    const memory = await readBack(join(folder.path, 'data'))
    memory.remember(ash)
    memory.remember({ ...ash, name: 'elm', answer: 'rejected' })
    memory.remember({ ...ash, name: 'oak' })
    memory.forget('oak')
    await memory.written()
    const again = await readBack(join(folder.path, 'data'))
    expect([...again.all()].map(({ name, answer }) => [name, answer])).toEqual([
      ['ash', 'accepted'],
      ['elm', 'rejected'],
    ])
    expect(again.get('ash')).toEqual(ash)
    expect(statSync(join(folder.path, 'data', 'members.json')).mode & 0o777).toBe(0o600)
  })

  it('is written whole or not at all, and not when nothing is new', async () => {
    using folder = scratchFolder()
    const memory = await readBack(folder.path)
    for (let each = 0; each < 20; each++) memory.remember({ ...ash, name: `n${each}` })
    await memory.written()
    const file = join(folder.path, 'members.json')
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 1 })
    writeFileSync(file, 'untouched')
    memory.remember({ ...ash, name: 'n3' })
    await memory.written()
    expect(readFileSync(file, 'utf8')).toBe('untouched')
  })

  it('is not believed where the file makes no sense, and the operator hears of it', async () => {
    using folder = scratchFolder()
    const file = join(folder.path, 'members.json')
    const said: string[] = []
    writeFileSync(file, '{"half')
    expect([...(await readBack(folder.path, (words) => said.push(words))).all()]).toEqual([])
    expect(said).toEqual([expect.stringContaining('accept them again')])
    const wrong = [
      { ...ash, name: 'Not A Name' },
      { ...ash, origin: 'https://elsewhere.example/path' },
      { ...ash, origin: 'http://u:p@10.0.0.1' },
      { ...ash, answer: 'maybe' },
      5,
      ash,
    ]
    writeFileSync(file, JSON.stringify({ members: wrong }))
    expect([...(await readBack(folder.path)).all()]).toEqual([ash])
  })

  it('holds until the next restart where the disk takes nothing, which is said once', async () => {
    using folder = scratchFolder()
    writeFileSync(join(folder.path, 'file'), '')
    const said: string[] = []
    const memory = new Memory(join(folder.path, 'file'), (words) => said.push(words))
    memory.remember(ash)
    memory.remember({ ...ash, name: 'elm' })
    await memory.written()
    expect(said).toEqual([expect.stringContaining('until the next restart')])
    expect(memory.get('elm')).toBeDefined()
  })
})
