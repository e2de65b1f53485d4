import type { LookupAddress } from 'node:dns'
import { describe, expect, it } from 'vitest'
import { Addresses } from '../../src/proxy/addresses.ts'
import { handClock } from '../help/clock.ts'

const v4 = (...addresses: string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: 4 }))
const failure = (code: string) => Object.assign(new Error(code), { code })

/** A system that answers what the test says: addresses, or the code of an error. */
function namesOf(first: LookupAddress[] | string) {
  const clock = handClock()
  const asked: string[] = []
  const noticed: unknown[] = []
  const left: string[] = []
  const system = { says: first, atOnce: 0, atOnceMax: 0 }
  let gate: Promise<void> | undefined
  const addresses = new Addresses({
    clock,
    noticed: (_, detail) => void noticed.push(detail),
    async resolve(host) {
      asked.push(host)
      system.atOnceMax = Math.max(system.atOnceMax, ++system.atOnce)
      await gate
      system.atOnce--
      if (typeof system.says === 'string') throw failure(system.says)
      return system.says
    },
  })
  addresses.onLeft((host, gone) => void left.push(`${host} ${gone.join()}`))
  return {
    addresses,
    asked,
    noticed,
    left,
    system,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return () => {
        gate = undefined
        resolve()
      }
    },
    async pass(ms: number) {
      clock.pass(ms)
      await settled()
    },
    /** What a socket would try, in order, or the code of its error. */
    find: (host = 'den.test') =>
      new Promise<string>((resolve) =>
        addresses.lookup(host, { all: true }, (error, found) =>
          resolve(
            error
              ? (error.code ?? 'error')
              : (found as LookupAddress[]).map(({ address }) => address).join(),
          ),
        ),
      ),
  }
}

const settled = () => new Promise<void>((resolve) => void setImmediate(resolve))

describe('the addresses of a name', () => {
  it('are looked up once for all who want them, and again every five seconds', async () => {
    const { asked, find, pass } = namesOf(v4('127.0.0.2'))
    expect(await Promise.all([find(), find(), find()])).toEqual(Array(3).fill('127.0.0.2'))
    expect(asked.length).toBe(1)
    await pass(4_999)
    await find()
    expect(asked.length).toBe(1)
    await pass(1)
    expect(asked.length).toBe(2)
    await pass(5_000)
    expect(asked.length).toBe(3)
  })

  it('are the new ones after the next look, and those that are gone are told', async () => {
    const { addresses, find, left, pass, system } = namesOf(v4('127.0.0.2', '127.0.0.3'))
    await find()
    system.says = v4('127.0.0.3', '127.0.0.4')
    await pass(5_000)
    expect(await find()).toBe('127.0.0.3,127.0.0.4')
    expect(left).toEqual(['den.test 127.0.0.2'])
    expect(addresses.has('den.test', '127.0.0.2')).toBe(false)
    expect(addresses.has('den.test', '127.0.0.4')).toBe(true)
  })

  it('stay in use while there is no answer, which is said once and not for every request', async () => {
    const { find, noticed, pass, system, left } = namesOf(v4('127.0.0.2'))
    await find()
    for (const says of ['EAI_AGAIN', 'ENOTFOUND', v4(), [{ address: 'junk', family: 4 }]]) {
      system.says = says
      for (let each = 0; each < 5; each++) {
        await pass(5_000)
        expect(await find()).toBe('127.0.0.2')
      }
    }
    expect(noticed).toEqual([{ host: 'den.test', code: 'EAI_AGAIN' }])
    expect(left).toEqual([])
    system.says = v4('127.0.0.3')
    await pass(5_000)
    expect(await find()).toBe('127.0.0.3')
    system.says = 'EAI_AGAIN'
    await pass(5_000)
    expect(noticed.length).toBe(2)
  })

  it('that come and go are said once a minute at most', async () => {
    const { find, noticed, pass, system } = namesOf(v4('127.0.0.2'))
    await find()
    for (let each = 0; each < 22; each++) {
      system.says = each % 2 === 0 ? 'EAI_AGAIN' : v4('127.0.0.2')
      await pass(5_000)
    }
    expect(noticed.length).toBe(2)
  })

  it('that were never found are asked for again a second later, and are nobody’s news', async () => {
    const { asked, find, noticed, pass, system } = namesOf('ENOTFOUND')
    expect(await find()).toBe('ENOTFOUND')
    expect(await find()).toBe('ENOTFOUND')
    expect(asked.length).toBe(1)
    system.says = v4('127.0.0.2')
    await pass(1_000)
    expect(await find()).toBe('127.0.0.2')
    expect(noticed).toEqual([])
  })

  it('are tried from the one that answered last, as long as there is that one', async () => {
    const { addresses, find, pass, system } = namesOf(v4('127.0.0.2', '127.0.0.3', '127.0.0.4'))
    await find()
    addresses.reached('den.test', '127.0.0.3')
    expect(await find()).toBe('127.0.0.3,127.0.0.2,127.0.0.4')
    system.says = v4('127.0.0.4', '127.0.0.3')
    await pass(5_000)
    expect(await find()).toBe('127.0.0.3,127.0.0.4')
    system.says = v4('127.0.0.5', '127.0.0.4')
    await pass(5_000)
    expect(await find()).toBe('127.0.0.5,127.0.0.4')
  })

  it('are not looked up again when nobody needs the name any more', async () => {
    const { addresses, asked, find, pass } = namesOf(v4('127.0.0.2'))
    await find('one.test')
    await find('other.test')
    addresses.keepOnly(new Set(['other.test']))
    asked.length = 0
    await pass(5_000)
    expect(asked).toEqual(['other.test'])
    // Somebody has still a question for a server that was taken out.
    await find('one.test')
    expect(asked).toEqual(['other.test', 'one.test'])
    await pass(5_000)
    expect(asked).toEqual(['other.test', 'one.test', 'other.test'])
    addresses.close()
    await pass(60_000)
    expect(asked.length).toBe(3)
  })

  it('are asked of the system two names at a time, those that somebody waits for first', async () => {
    const names = namesOf(v4('127.0.0.2'))
    for (const host of ['a.test', 'b.test', 'c.test', 'd.test']) await names.find(host)
    const open = names.hold()
    names.asked.length = 0
    await names.pass(5_000)
    const found = names.find('new.test')
    open()
    expect(await found).toBe('127.0.0.2')
    await settled()
    expect(names.asked).toEqual(['a.test', 'b.test', 'new.test', 'c.test', 'd.test'])
    expect(names.system.atOnceMax).toBe(2)
  })

  it('know a link behind an address for the same address', async () => {
    const { addresses, find } = namesOf([{ address: 'fe80::1', family: 6 }])
    await find()
    expect(addresses.has('den.test', 'fe80::1%eth0')).toBe(true)
  })

  it('come alone, and of one family, for who wants it so', async () => {
    const { addresses } = namesOf([...v4('127.0.0.2'), { address: '::1', family: 6 }])
    const one = (family: number) =>
      new Promise((resolve) =>
        addresses.lookup('den.test', { family }, (error, address, of) =>
          resolve(error?.code ?? `${String(address)} ${of}`),
        ),
      )
    expect([await one(0), await one(4), await one(6)]).toEqual([
      '127.0.0.2 4',
      '127.0.0.2 4',
      '::1 6',
    ])
  })
})
