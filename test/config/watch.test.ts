import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { watchFile } from '../../src/config/watch.ts'
import { realClock, scaledClock } from '../../src/core/clock.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

function watched(path: string, text: string, clock = realClock()) {
  const seen = { times: 0 }
  const watching = watchFile({ path, text }, clock, () => void seen.times++)
  return { seen, [Symbol.dispose]: () => watching[Symbol.dispose]() }
}

it('sees a file that is written anew, replaced by another, made late', async () => {
  using folder = scratchFolder()
  const path = join(folder.path, 'chasqui.yaml')
  using watching = watched(path, '')
  writeFileSync(path, 'queue: {max: 1}')
  await until(() => watching.seen.times === 1, 2_000)
  writeFileSync(path, 'queue: {max: 2}')
  await until(() => watching.seen.times === 2, 2_000)
  writeFileSync(`${path}.swp`, 'queue: {max: 3}')
  renameSync(`${path}.swp`, path)
  await until(() => watching.seen.times === 3, 2_000)
})

it('sees the link beside it exchanged, as Kubernetes does with the files of a ConfigMap', async () => {
  using folder = scratchFolder()
  const inside = (name: string) => join(folder.path, name)
  for (const [version, text] of [
    ['..one', 'queue: {max: 1}'],
    ['..two', 'queue: {max: 2}'],
  ] as const) {
    mkdirSync(inside(version))
    writeFileSync(join(inside(version), 'chasqui.yaml'), text)
  }
  symlinkSync('..one', inside('..data'))
  symlinkSync('..data/chasqui.yaml', inside('chasqui.yaml'))
  using watching = watched(inside('chasqui.yaml'), 'queue: {max: 1}')
  symlinkSync('..two', inside('..data_tmp'))
  renameSync(inside('..data_tmp'), inside('..data'))
  rmSync(inside('..one'), { recursive: true })
  await until(() => watching.seen.times === 1, 2_000)
})

it('says nothing of a file that is gone, empty, or the same as before, nor of others', async () => {
  using folder = scratchFolder()
  const path = join(folder.path, 'chasqui.yaml')
  writeFileSync(path, 'queue: {max: 1}')
  using watching = watched(path, 'queue: {max: 1}')
  using other = watched(join(folder.path, 'other.yaml'), '')
  const steps = [
    () => rmSync(path),
    () => writeFileSync(path, ''),
    () => writeFileSync(path, 'queue: {max: 1}'),
  ]
  for (const [index, step] of steps.entries()) {
    step()
    // The other file is written behind it and seen behind it: by then this one has been looked at.
    writeFileSync(join(folder.path, 'other.yaml'), `queue: {max: ${index}}`)
    await until(() => other.seen.times === index + 1, 2_000)
  }
  expect(watching.seen.times).toBe(0)
  writeFileSync(path, 'queue: {max: 2}')
  await until(() => watching.seen.times === 1, 2_000)
})

it('finds by looking now and then what nobody tells: a link to a file elsewhere', async () => {
  using folder = scratchFolder()
  using elsewhere = scratchFolder()
  const target = join(elsewhere.path, 'real.yaml')
  writeFileSync(target, 'queue: {max: 1}')
  symlinkSync(target, join(folder.path, 'chasqui.yaml'))
  using watching = watched(join(folder.path, 'chasqui.yaml'), 'queue: {max: 1}', scaledClock(20))
  writeFileSync(target, 'queue: {max: 2}')
  await until(() => watching.seen.times === 1, 2_000)
})

it('does without a folder that can not be watched', async () => {
  using folder = scratchFolder()
  const path = join(folder.path, 'late', 'chasqui.yaml')
  using watching = watched(path, '', scaledClock(20))
  mkdirSync(join(folder.path, 'late'))
  writeFileSync(path, 'queue: {max: 1}')
  await until(() => watching.seen.times === 1, 2_000)
})
