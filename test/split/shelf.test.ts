import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import { type OpenSpool, Shelf } from '../../src/split/shelf.ts'
import { scratchFolder } from '../help/scratch.ts'
import { spoolIn } from './spool.ts'

const texts = Array.from({ length: 40 }, (_, index) => `${index} é😀 `.repeat(index % 7))

describe('a shelf', () => {
  it.each([[0], [50], [1_000_000]])(
    'gives back what was put down, in any order, with %i bytes of memory',
    async (memoryBytesMax) => {
      using folder = scratchFolder()
      await using shelf = new Shelf(memoryBytesMax, spoolIn(folder.path))
      await Promise.all(texts.map((text, key) => shelf.put(key, text)))
      expect(shelf.memoryBytes).toBeLessThanOrEqual(memoryBytesMax)
      const order = texts.map((_, key) => (key * 17) % texts.length)
      for (const key of order) expect(await shelf.take(key)).toBe(texts[key])
      expect(shelf.memoryBytes).toBe(0)
    },
  )

  it('opens no file while memory is enough, and one in all when it is not', async () => {
    using folder = scratchFolder()
    await using shelf = new Shelf(10, spoolIn(folder.path))
    await shelf.put(0, '1234567890')
    expect([readdirSync(folder.path), shelf.spooledBytes]).toEqual([[], 0])
    await Promise.all([shelf.put(1, 'ab'), shelf.put(2, 'cde')])
    expect(readdirSync(folder.path)).toHaveLength(1)
    expect(shelf.spooledBytes).toBe(5)
    // What was taken makes room in memory again.
    await shelf.take(0)
    await shelf.put(3, '0987654321')
    expect(shelf.spooledBytes).toBe(5)
  })

  it('removes its file, and gives its share of the disk back, when it is disposed', async () => {
    using folder = scratchFolder()
    let [charged, freed, path] = [0, 0, '']
    const open: OpenSpool = async () => {
      const file = await spoolIn(folder.path)()
      path = file.path
      return { ...file, grow: (bytes) => (charged += bytes), [Symbol.dispose]: () => freed++ }
    }
    {
      await using shelf = new Shelf(0, open)
      await shelf.put(0, 'text')
      // Under way when it is disposed.
      void shelf.put(1, 'more of it')
      expect(existsSync(path)).toBe(true)
    }
    expect([existsSync(path), freed]).toEqual([false, 1])
    expect(charged).toBe('textmore of it'.length)
  })

  it('passes on that the disk is full, and is still disposed of', async () => {
    using folder = scratchFolder()
    const full = new Failure('body_budget_full', 'too much is held on disk')
    const open: OpenSpool = async () => ({
      ...(await spoolIn(folder.path)()),
      grow() {
        throw full
      },
    })
    {
      await using shelf = new Shelf(0, open)
      await expect(shelf.put(0, 'text')).rejects.toBe(full)
      await expect(shelf.put(1, 'text')).rejects.toBe(full)
    }
    expect(readdirSync(folder.path)).toEqual([])
  })

  it('says what nobody put down', async () => {
    using folder = scratchFolder()
    await using shelf = new Shelf(10, spoolIn(folder.path))
    await shelf.put(0, 'once')
    await shelf.take(0)
    await expect(shelf.take(0)).rejects.toThrow('nothing was put down for 0')
  })
})
