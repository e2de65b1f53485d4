import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DecisionLog } from '../../src/telemetry/decision-log.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

function logIn(folder: string, fileBytesMax?: number) {
  const path = join(folder, 'decisions')
  const heard = { dropped: 0, noticed: [] as string[] }
  const observer = {
    decisionsDropped(count: number) {
      heard.dropped += count
    },
    noticed: (sentence: string) => void heard.noticed.push(sentence),
  }
  const make = () =>
    new DecisionLog(path, fileBytesMax === undefined ? { observer } : { observer, fileBytesMax })
  return { path, heard, make, log: make() }
}

const numbersIn = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { number: number }).number)
const modeOf = (path: string) => statSync(path).mode & 0o777

describe('the log of decisions', () => {
  it('has a line for each, in order, that only its owner can read', async () => {
    using folder = scratchFolder()
    const { path, log, heard, make } = logIn(folder.path)
    for (let number = 0; number < 100; number++) log.note({ number })
    await log.close()
    expect(numbersIn(path)).toEqual(Array.from({ length: 100 }, (_, at) => at))
    expect(modeOf(path)).toBe(0o600)
    // It goes on where it was, and what others could read they can not any more.
    chmodSync(path, 0o644)
    const later = make()
    later.note({ number: 100 })
    await later.close()
    expect(numbersIn(path)).toHaveLength(101)
    expect(modeOf(path)).toBe(0o600)
    expect(heard).toEqual({ dropped: 0, noticed: [] })
  })

  it('makes no file before there is something to note', async () => {
    using folder = scratchFolder()
    const { path, log } = logIn(folder.path)
    await log.close()
    expect(existsSync(path)).toBe(false)
  })

  it('writes nothing in the turn in which it is told, and drops and counts what comes too fast', async () => {
    using folder = scratchFolder()
    const { path, log, heard } = logIn(folder.path)
    let made = 0
    const entry = (number: number) => ({
      toJSON() {
        made++
        return { number }
      },
    })
    for (let number = 0; number < 1_000; number++) log.note(entry(number))
    expect(made).toBe(0)
    await log.close()
    const written = numbersIn(path)
    expect(written).toEqual(Array.from({ length: 256 }, (_, at) => at))
    expect(heard.dropped).toBe(1_000 - written.length)
  })

  it('begins a new file when one is full, and keeps the one before', async () => {
    using folder = scratchFolder()
    const { path, log, heard } = logIn(folder.path, 2_000)
    for (let number = 1_000; number < 1_500; number++) {
      log.note({ number })
      if (number % 20 === 0)
        await until(() => existsSync(path) && numbersIn(path).at(-1) === number)
    }
    await log.close()
    expect(heard).toEqual({ dropped: 0, noticed: [] })
    for (const each of [path, `${path}.1`]) {
      expect(statSync(each).size).toBeLessThanOrEqual(2_000)
      expect(modeOf(each)).toBe(0o600)
    }
    const kept = [...numbersIn(`${path}.1`), ...numbersIn(path)]
    expect(kept.length).toBeGreaterThan(50)
    expect(kept.at(-1)).toBe(1_499)
    expect(kept).toEqual(kept.map((_, at) => kept[0]! + at))
    expect(existsSync(`${path}.2`)).toBe(false)
  })

  it('says once that it can not be written, and counts what is lost', async () => {
    using folder = scratchFolder()
    const { path, log, heard } = logIn(folder.path)
    mkdirSync(path)
    log.note({ number: 1 })
    log.note({ number: 2 })
    await until(() => heard.noticed.length > 0)
    log.note({ number: 3 })
    await log.close()
    expect(heard.noticed).toHaveLength(1)
    expect(heard.noticed[0]).toContain('routing.decision_log')
    expect(heard.dropped).toBe(3)
  })

  it('leaves alone what is no file', async () => {
    const noticed: string[] = []
    const log = new DecisionLog('/dev/null', {
      observer: { decisionsDropped: () => {}, noticed: (sentence) => void noticed.push(sentence) },
    })
    const before = modeOf('/dev/null')
    log.note({ number: 1 })
    await log.close()
    expect(noticed).toHaveLength(1)
    expect(modeOf('/dev/null')).toBe(before)
  })
})
