import { describe, expect, it } from 'vitest'
import { Poison } from '../../src/proxy/poison.ts'
import { bodyOf, filedBodyOf } from './help.ts'

const killer = bodyOf('{"model":"m","prompt":"kill","stream":true}')

describe('a request that ended two runners', () => {
  it('is known for ten minutes, for this model only', async () => {
    const poison = new Poison()
    await poison.ban('m', killer, 0)
    expect(await poison.isBanned('m', killer, 599_999)).toBe(true)
    expect(await poison.isBanned('n', killer, 599_999)).toBe(false)
    expect(await poison.isBanned('m', killer, 600_001)).toBe(false)
  })

  it('is known by its prompt, not by how its answer is to come', async () => {
    const poison = new Poison()
    await poison.ban('m', killer, 0)
    const same = '{"stream":false,"keep_alive":"1h","prompt":"kill","model":"m:latest"}'
    expect(await poison.isBanned('m', bodyOf(same), 1)).toBe(true)
    expect(await poison.isBanned('m', bodyOf(same.replace('kill', 'kind')), 1)).toBe(false)
  })

  it('is known again from a file, and when it is no JSON', async () => {
    const poison = new Poison()
    for (const text of ['{"prompt":"a long one"}', 'sound in many parts']) {
      await poison.ban('m', filedBodyOf(text), 0)
      expect(await poison.isBanned('m', filedBodyOf(text), 1)).toBe(true)
      expect(await poison.isBanned('m', filedBodyOf(`${text} `), 1)).toBe(false)
    }
  })

  it('makes room for newer ones when there are very many', async () => {
    const poison = new Poison()
    await poison.ban('m', killer, 0)
    for (let each = 0; each < 1_000; each++)
      await poison.ban('m', bodyOf(`{"prompt":"${each}"}`), 1)
    expect(await poison.isBanned('m', killer, 2)).toBe(false)
    expect(await poison.isBanned('m', bodyOf('{"prompt":"0"}'), 2)).toBe(true)
  })
})
