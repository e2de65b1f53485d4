import { expect, it } from 'vitest'
import { readLoadHead } from '../../src/proxy/load-head.ts'

it('reads the figures of an agent, and nothing that is not all of them', () => {
  const all = { free_slots: 3, queue: 0, active: 1, hidden: 2 }
  expect(readLoadHead('free=3, queue=0, active=1, hidden=2')).toEqual(all)
  expect(readLoadHead('hidden=2,active=1 ,\tqueue=0,free=3')).toEqual(all)
  expect(readLoadHead('free=3, queue=0, active=1, more=9')).toEqual({ ...all, hidden: null })
  for (const wrong of ['', 'free=3', 'free=x, queue=0, active=1', 'free=-1, queue=0, active=1'])
    expect(readLoadHead(wrong)).toBeUndefined()
  expect(readLoadHead(`free=3, queue=0, active=1${' '.repeat(200)}`)).toBeUndefined()
  expect(readLoadHead('free=99999999, queue=0, active=1')).toBeUndefined()
})
