import { expect, it } from 'vitest'
import { CutAside } from '../../src/split/cut-aside.ts'

const wishes = { size: 1_000, overlap: 0, tokensMax: 100_000, language: undefined }
const job = (text: string) => ({ by: 'lines' as const, text, wishes, tokenFactor: 1 })
const never = new AbortController().signal
const long = 'a line\n'.repeat(100_000)

it('cuts what is long on a thread as it would have been cut here', async () => {
  const aside = new CutAside()
  const short = await aside.cut(job('a line\n'.repeat(2_500)), never)
  expect(short.map(({ label }) => label)).toEqual([
    'lines 1-1000',
    'lines 1001-2000',
    'lines 2001-2500',
  ])
  const parts = await aside.cut(job(long), never)
  expect(parts).toHaveLength(100)
  expect(parts.slice(0, 2)).toEqual(
    (await aside.cut(job(long.slice(0, 14_000)), never)).slice(0, 2),
  )
})

// Each long text had a thread of its own: fifty of them at once took the cores from everybody's answers.
it('has two threads at most, and who leaves waits for none', async () => {
  const aside = new CutAside()
  const left = new AbortController()
  const over: string[] = []
  const cuts = ['one', 'two', 'three', 'four'].map((name) =>
    aside.cut(job(long), name === 'three' ? left.signal : never).then(
      () => over.push(name),
      (error: Error) => over.push(`${name} ${error.message}`),
    ),
  )
  await Promise.resolve()
  expect(aside.waiting).toBe(2)
  left.abort(new Error('left'))
  await Promise.all(cuts)
  expect(over[0]).toBe('three left')
  expect(over.slice(1).sort()).toEqual(['four', 'one', 'two'])
  expect(aside.waiting).toBe(0)
})
