import { expect, it } from 'vitest'
import { Alarm } from '../../../src/split/embed/alarm.ts'
import { jumpClock } from './help.ts'

function ringing() {
  const clock = jumpClock()
  const startMs = clock.now()
  const rungMs: number[] = []
  const alarm = new Alarm(clock, () => rungMs.push(clock.now() - startMs))
  return { clock, alarm, rungMs }
}

it('what happens in the same breath is looked at once, and not before its end', async () => {
  const { alarm, rungMs } = ringing()
  alarm.soon()
  alarm.soon()
  expect(rungMs).toEqual([])
  await Promise.resolve()
  expect(rungMs).toEqual([0])
  alarm.soon()
  await Promise.resolve()
  expect(rungMs).toEqual([0, 0])
})

it('a moment takes the place of the one before, and none at all stands for ever', async () => {
  const { clock, alarm, rungMs } = ringing()
  alarm.after(50)
  alarm.after(20)
  await clock.pass(100)
  expect(rungMs).toHaveLength(1)
  expect(rungMs[0]).toBeCloseTo(20.1)
  alarm.after(50)
  alarm.after(Number.POSITIVE_INFINITY)
  await clock.pass(100)
  alarm.after(50)
  alarm.off()
  await clock.pass(100)
  expect(rungMs).toHaveLength(1)
})
