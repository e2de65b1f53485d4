import { describe, expect, it } from 'vitest'
import { EmbedClasses, type Subject } from '../../../src/split/embed/classes.ts'
import { probeBody, probeTexts } from '../../../src/split/embed/probe.ts'
import { answerBody, jumpClock } from './help.ts'

const subject = (backend: string, version = '1'): Subject => ({ digest: 'd', backend, version })

function bench(numbers: Record<string, string | undefined>) {
  const clock = jumpClock()
  const asked: string[] = []
  let running = 0
  const measured: string[] = []
  const classes = new EmbedClasses({
    clock,
    async askOne(backend, body) {
      expect(++running).toBe(1)
      expect(body).toEqual(probeBody('m'))
      asked.push(backend)
      await new Promise<void>((resolve) => clock.after(10, resolve))
      running--
      const kind = numbers[backend]
      if (kind === 'throws') throw new Error('gone')
      return kind === undefined
        ? { status: 500, body: Buffer.from('{}') }
        : { status: 200, body: answerBody('/api/embed', probeTexts, kind, 4) }
    },
    measured: ({ backend }, _, { computedMs }) => {
      expect(computedMs).toBeCloseTo(4)
      measured.push(backend)
    },
  })
  return { classes, clock, asked, measured, numbers }
}

describe('classes of machines', () => {
  it('are those that write the same numbers, found out one at a time', async () => {
    const { classes, clock, asked, measured } = bench({ a: 'a', b: 'a', c: 'near', d: 'far' })
    for (const each of ['a', 'b', 'c', 'd', 'a', 'b']) classes.measure(subject(each), 'm')
    expect(classes.classOf(subject('a'))).toBeUndefined()
    await clock.pass(1_000)
    expect(asked).toEqual(['a', 'b', 'c', 'd'])
    expect(measured).toEqual(asked)
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((each) => classes.classOf(subject(each)))
    expect(a).toBeDefined()
    expect(b).toBe(a)
    expect(c).not.toBe(a)
    expect(d).not.toBe(a)
    classes.measure(subject('a'), 'm')
    await clock.pass(1_000)
    expect(asked).toHaveLength(4)
  })

  it('may be mixed when every vector points the same way to four nines', async () => {
    const { classes, clock } = bench({ a: 'a', b: 'a', c: 'near', d: 'far' })
    for (const each of ['a', 'b', 'c', 'd']) classes.measure(subject(each), 'm')
    await clock.pass(1_000)
    const mixable = (one: string, other: string) => classes.isMixable(subject(one), subject(other))
    expect(mixable('a', 'b')).toBe(true)
    expect(mixable('a', 'c')).toBe(true)
    expect(mixable('a', 'd')).toBe(false)
    expect(mixable('a', 'e')).toBe(false)
    expect(classes.byClass('d')).toEqual([['a', 'b'], ['c'], ['d']])
    expect(classes.areAllMixable('d')).toBe(false)
  })

  it('hold for one version, and until the backend was away', async () => {
    const { classes, clock, asked } = bench({ a: 'a', b: 'a' })
    classes.measure(subject('a'), 'm')
    await clock.pass(100)
    expect(classes.classOf(subject('a', '2'))).toBeUndefined()
    classes.forget('a')
    expect(classes.classOf(subject('a'))).toBeUndefined()
    classes.measure(subject('a'), 'm')
    await clock.pass(100)
    expect(asked).toEqual(['a', 'a'])
    expect(classes.classOf(subject('a'))).toBeDefined()
  })

  it('do not believe a probe that was under way when the backend came back', async () => {
    const { classes, clock, asked } = bench({ a: 'a' })
    classes.measure(subject('a'), 'm')
    await clock.pass(5)
    classes.forget('a')
    await clock.pass(5)
    expect(classes.classOf(subject('a'))).toBeUndefined()
    classes.measure(subject('a'), 'm')
    await clock.pass(100)
    expect(asked).toHaveLength(2)
    expect(classes.classOf(subject('a'))).toBeDefined()
  })

  it('are asked for again after a while when a probe failed, later and later', async () => {
    const { classes, clock, asked, numbers } = bench({ a: 'throws' })
    const again = async (ms: number) => {
      await clock.pass(ms)
      classes.measure(subject('a'), 'm')
      await clock.pass(20)
      return asked.length
    }
    expect(await again(0)).toBe(1)
    expect(await again(1_000)).toBe(1)
    expect(await again(30_000)).toBe(2)
    expect(await again(31_000)).toBe(2)
    numbers['a'] = 'a'
    expect(await again(30_000)).toBe(3)
    expect(classes.classOf(subject('a'))).toBeDefined()
  })
})
