// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the configuration's own variables
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { realClock, scaledClock } from '../../src/core/clock.ts'
import { Folder } from '../../src/members/folder.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

function watched(clock = realClock()) {
  const scratch = scratchFolder()
  const said: string[] = []
  const folder = new Folder({
    clock,
    env: { PLACE: '10.0.0.5' },
    noticed: (_sentence, detail) => said.push(String(detail?.['report'])),
    changed() {},
  })
  const path = join(scratch.path, 'backends.d')
  mkdirSync(path)
  return {
    path,
    folder,
    said,
    write: (name: string, text: string) => writeFileSync(join(path, name), text),
    names: () => folder.backends().map(({ name }) => name),
    [Symbol.dispose]() {
      folder[Symbol.dispose]()
      scratch[Symbol.dispose]()
    },
  }
}

describe('a folder of backends', () => {
  it('is read at once and watched: files come, change and go', async () => {
    using it = watched()
    it.write('a.yaml', 'url: http://10.0.0.1:11434\nname: ash\nslots: 3\n')
    it.write('b.yml', '- {url: "http://10.0.0.2", name: elm}\n- {url: "http://${PLACE}"}\n')
    it.write('notes.txt', 'not a backend')
    it.write('.hidden.yaml', 'broken: [')
    await it.folder.reconfigure(it.path)
    expect(it.names()).toEqual(['ash', 'elm', '10.0.0.5-80'])
    expect(it.folder.backends()[0]).toMatchObject({ slots: 3, origin: 'http://10.0.0.1:11434' })
    it.write('c.yaml', 'url: http://10.0.0.3\nname: oak\n')
    await until(() => it.names().includes('oak'))
    rmSync(join(it.path, 'b.yml'))
    await until(() => it.names().length === 2)
    await it.folder.reconfigure(undefined)
    expect(it.names()).toEqual([])
    expect(it.said).toEqual([])
  })

  it('keeps what a file said before when it says nonsense, and says where, once', async () => {
    using it = watched()
    it.write('a.yaml', 'url: http://10.0.0.1:11434\nname: ash\n')
    await it.folder.reconfigure(it.path)
    it.write('a.yaml', 'url: http://10.0.0.1:11434\nnme: ash\n')
    await until(() => it.said.length === 1)
    expect(it.said[0]).toMatch(/a\.yaml:2:1: .*nme is no known key\n {2}hint: did you mean "name"/)
    it.write('b.yaml', 'url: http://10.0.0.2\nname: elm\n')
    await until(() => it.names().length === 2)
    expect([it.names(), it.said.length]).toEqual([['ash', 'elm'], 1])
    it.write('a.yaml', '')
    it.write('b.yaml', 'url: http://10.0.0.2\nname: fir\n')
    await until(() => it.names().includes('fir'))
    expect(it.names()).toEqual(['ash', 'fir'])
  })

  it('is said to be missing, and found when it is made', async () => {
    // Looks every half a second.
    using it = watched(scaledClock(10))
    const path = join(it.path, 'later')
    await it.folder.reconfigure(path)
    expect(it.said).toEqual(['discover.folder can not be read (ENOENT)'])
    mkdirSync(path)
    writeFileSync(join(path, 'a.yaml'), 'url: http://10.0.0.1\nname: ash\n')
    await until(() => it.names().includes('ash'))
  })
})
