import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import type { Answer } from '../../src/proxy/answer.ts'
import type { Exchange } from '../../src/proxy/exchange.ts'
import { Queue } from '../../src/proxy/queue.ts'
import { handClock } from '../help/clock.ts'
import { settingsFrom } from '../help/fleet.ts'
import { backendOf, poolOf, ps } from '../pool/help.ts'
import { exchangeOf, settled } from '../routing/waiting.ts'

type More = Parameters<typeof exchangeOf>[1]

/** One seat before a queue; who is asked to give way does, unless it is one of these. */
function oneSeat(config = '', never: readonly string[] = []) {
  const clock = handClock()
  const pool = poolOf([backendOf('a', { slots: 1 })], { clock })
  pool.endpoints[0]!.learnInMemory(ps(['m']))
  const settings = settingsFrom(config, '')
  const asked: string[] = []
  const story: string[] = []
  const ends = new Map<Exchange, () => void>()
  const giveWay = (exchange: Exchange, to: string) => {
    asked.push(`${exchange.asked.id}<${to}`)
    if (never.includes(exchange.asked.id)) return false
    exchange.gaveWay = true
    // As an attempt ends: some moments later.
    queueMicrotask(() => ends.get(exchange)?.())
    return true
  }
  const queue = new Queue(pool, settings, clock, { giveWay })
  const wait = (exchange: Exchange) => {
    const { id } = exchange.asked
    queue.lease(exchange).then(
      (lease) => {
        story.push(id)
        ends.set(exchange, () => {
          lease.settle({ kind: 'gaveWay', to: '', savedS: 1, rereadS: 0 })
          wait(exchange)
        })
        leases.set(id, () => lease.settle({ kind: 'answered', status: 200 }))
      },
      (error: Failure) => story.push(`${id}: ${error instanceof Failure ? error.code : error}`),
    )
  }
  const leases = new Map<string, () => void>()
  const come = async (id: string, more: More = {}) => {
    const { exchange } = exchangeOf('m', { id, ...more })
    wait(exchange)
    await settled()
    return exchange
  }
  return {
    ...{ clock, queue, story, asked, come },
    batch: async (id: string, more: More = {}) => await come(id, { priority: 'batch', ...more }),
    person: async (id: string) => await come(id, { priority: 'interactive', tenant: 'people' }),
    /** It has said something. */
    says: (exchange: Exchange) => {
      exchange.firstByteMs = clock.now() - exchange.asked.arrivedMs
      exchange.answer = { gaps: { tokens: 10 } } as unknown as Answer
    },
    ended: async (id: string) => {
      leases.get(id)!()
      await settled()
    },
  }
}

describe('a person before a seat that batch work has', () => {
  it('gets it, and the batch work comes next, before the rest of it', async () => {
    const { batch, person, says, story, ended } = oneSeat()
    says(await batch('job'))
    await batch('other', { tenant: 'who was given nothing' })
    await person('person')
    expect(story).toEqual(['job', 'person'])
    await ended('person')
    expect(story).toEqual(['job', 'person', 'job'])
    await ended('job')
    expect(story).toEqual(['job', 'person', 'job', 'other'])
  })

  it('asks for one seat, and for another one when that has not come within a second', async () => {
    const { batch, person, says, asked, clock, story } = oneSeat('', ['job'])
    says(await batch('job'))
    await person('person')
    // It was asked and kept its seat, so nothing is on its way.
    expect(asked).toEqual(['job<person'])
    clock.pass(1_000)
    await settled()
    expect(asked).toEqual(['job<person', 'job<person'])
    expect(story).toEqual(['job'])
  })

  it('is looked after twenty times a second at most, however many seats come and go', async () => {
    const { batch, person, says, asked, clock } = oneSeat('', ['job'])
    says(await batch('job'))
    await person('first')
    await person('second')
    expect(asked).toEqual(['job<first'])
    clock.pass(250)
    await settled()
    expect(asked).toEqual(['job<first', 'job<first', 'job<second'])
  })

  it('waits where that is switched off, and where the work has to be finished in time', async () => {
    const off = oneSeat('queue: { give_way: false }')
    off.says(await off.batch('job'))
    await off.person('person')
    expect([off.asked, off.story]).toEqual([[], ['job']])
    const due = oneSeat()
    due.says(await due.batch('job', { deadlineMs: 1e9 }))
    await due.person('person')
    expect([due.asked, due.story]).toEqual([[], ['job']])
  })
})

describe('batch work that gave its seat to a person', () => {
  it('is never turned away: neither for want of room nor for its wait', async () => {
    const { batch, person, says, story, clock, queue, ended } = oneSeat(
      'queue: { max: 2, timeout: 10s }',
    )
    says(await batch('job'))
    await person('first')
    await person('second')
    // There are two in line: one person, and who gave way.
    expect(queue.size).toBe(2)
    await batch('one more')
    expect(story).toEqual(['job', 'first', 'one more: queue_full'])
    // As long is the line for nobody but ourselves.
    const own = await batch('a question of our own', { isOurs: true })
    expect(queue.size).toBe(3)
    own.stop()
    await settled()
    expect(story.splice(2)).toHaveLength(2)
    await person('third')
    expect(story.at(-1)).toBe('third: queue_full')
    clock.pass(11_000)
    await settled()
    expect(story.at(-1)).toBe('second: queue_timeout')
    clock.pass(3_000_000)
    await ended('first')
    expect(story.at(-1)).toBe('job')
    expect(queue.size).toBe(0)
  })

  it('waits for an hour at most where nobody can serve it any more', async () => {
    const { batch, person, says, story, clock } = oneSeat('queue: { timeout: 10s }')
    says(await batch('job'))
    await person('first')
    clock.pass(3_599_000)
    await settled()
    expect(story).toEqual(['job', 'first'])
    clock.pass(1_001)
    await settled()
    expect(story.at(-1)).toBe('job: queue_timeout')
  })
})
