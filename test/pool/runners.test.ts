import { describe, expect, it } from 'vitest'
import { InMemory } from '../../src/pool/in-memory.ts'
import { Runners } from '../../src/pool/runners.ts'
import { ps, tags } from './help.ts'

function runnersOf(models: Parameters<typeof ps>[0] = []) {
  const onDisk = new Map(tags(['m', 'n']).map((model) => [model.canonical, model]))
  const inMemory = new InMemory(onDisk)
  inMemory.looked(ps(models), 0, 0)
  return new Runners(onDisk, inMemory)
}

describe('how a model runs', () => {
  it('is with the context that the server says, before the one that was learned', () => {
    const runners = runnersOf([{ model: 'm', context_length: 8_192 }, 'n'])
    for (const model of ['m:latest', 'n:latest', 'gone:latest']) runners.learnContext(model, 4_096)
    expect(runners.contextOf('m:latest')).toBe(8_192)
    expect([runners.contextTold('n:latest'), runners.contextOf('n:latest')]).toEqual([
      undefined,
      4_096,
    ])
    // Nobody lists it: it would stay for ever.
    expect(runners.contextOf('gone:latest')).toBeUndefined()
  })

  it('is with the options of our own load, until it leaves', () => {
    const runners = runnersOf(['m'])
    const compare = (wanted: string) => runners.compare('m:latest', wanted, undefined)
    expect(compare('num_gpu=1')).toBe('unknown')
    runners.loaded('m:latest', 'num_gpu=1')
    expect([compare('num_gpu=1'), compare('num_gpu=2')]).toEqual(['same', 'other'])
    runners.loaded('m:latest', undefined)
    expect(compare('num_gpu=1')).toBe('same')
    runners.left('m:latest')
    expect(compare('num_gpu=1')).toBe('unknown')
  })

  it('goes by the usual context of the server where a request asks for none', () => {
    const runners = runnersOf([{ model: 'm', context_length: 8_192 }])
    expect(runners.compare('m:latest', '', 8_192)).toBe('same')
    expect(runners.compare('m:latest', '', 4_096)).toBe('other')
  })

  it('is forgotten when the server may have been started anew, and of models that are gone', () => {
    const runners = runnersOf(['m', 'n'])
    const contexts = () => ['m', 'n'].map((each) => runners.contextOf(`${each}:latest`))
    for (const each of ['m:latest', 'n:latest']) {
      runners.learnContext(each, 4_096)
      runners.loaded(each, 'num_gpu=1')
    }
    runners.keepOnly(new Map([['n:latest', {}]]))
    expect(contexts()).toEqual([undefined, 4_096])
    runners.forget()
    expect(contexts()).toEqual([undefined, undefined])
    expect(runners.compare('n:latest', 'num_gpu=1', undefined)).toBe('unknown')
  })
})
