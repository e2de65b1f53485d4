import { describe, expect, it } from 'vitest'
import { InMemory } from '../../src/pool/in-memory.ts'
import { ps, tags } from './help.ts'

/** What a server has in memory, whose disk holds `m`, `n`, and the weights of `m` once more as `alias`. */
function memoryOf() {
  const listed = tags(['m', 'n', { name: 'alias', digest: 'digest of m' }])
  const inMemory = new InMemory(new Map(listed.map((model) => [model.canonical, model])))
  const look = (models: Parameters<typeof ps>[0], nowMs: number, askedMs = nowMs) => {
    const { hasCome, gone } = inMemory.looked(ps(models), askedMs, nowMs)
    return { hasCome, gone: gone.map(({ canonical }) => canonical) }
  }
  return { inMemory, look }
}

describe('the models in memory', () => {
  it('come and go from look to look', () => {
    const { look } = memoryOf()
    expect(look(['m'], 10)).toEqual({ hasCome: true, gone: [] })
    expect(look(['m'], 20)).toEqual({ hasCome: false, gone: [] })
    expect(look(['n'], 30)).toEqual({ hasCome: true, gone: ['m:latest'] })
    expect(look([], 40)).toEqual({ hasCome: false, gone: ['n:latest'] })
  })

  it('have been seen since they came, and a load of ours since it ended or was listed', () => {
    const { inMemory, look } = memoryOf()
    look(['m'], 10)
    look(['m'], 20)
    inMemory.loaded('n:latest', 25)
    expect([inMemory.sinceMs('m:latest'), inMemory.sinceMs('n:latest')]).toEqual([10, 25])
    look(['m', 'n'], 30)
    expect(inMemory.sinceMs('n:latest')).toBe(30)
    look([], 40)
    expect(inMemory.sinceMs('m:latest')).toBe(Number.NEGATIVE_INFINITY)
  })

  it('serve every name of the same weights', () => {
    const { inMemory, look } = memoryOf()
    look([{ model: 'm', context_length: 4_096 }], 10)
    expect(['m', 'alias', 'n'].map((each) => inMemory.holds(`${each}:latest`))).toEqual([
      true,
      true,
      false,
    ])
    expect(inMemory.find('alias:latest')).toMatchObject({ canonical: 'm:latest' })
    // It is there already, if under another name.
    inMemory.loaded('alias:latest', 20)
    expect([...inMemory.models.keys()]).toEqual(['m:latest'])
  })

  it('keep a load of ours that an answer is too old to know, until it has been listed', () => {
    const { inMemory, look } = memoryOf()
    inMemory.loaded('m:latest', 10)
    expect(look([], 15, 5)).toEqual({ hasCome: false, gone: [] })
    expect(inMemory.models.get('m:latest')).toMatchObject({ digest: 'digest of m' })
    expect(look(['m'], 20, 12)).toEqual({ hasCome: true, gone: [] })
    expect(look([], 25, 5)).toEqual({ hasCome: false, gone: ['m:latest'] })
  })

  it('have had company for a moment when a load of ours is gone before it was listed', () => {
    const { inMemory, look } = memoryOf()
    look(['m'], 10)
    inMemory.loaded('n:latest', 20)
    expect(look(['m'], 30)).toEqual({ hasCome: true, gone: ['n:latest'] })
    expect(look([], 40)).toEqual({ hasCome: false, gone: ['m:latest'] })
  })
})
