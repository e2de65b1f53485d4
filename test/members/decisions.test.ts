import { describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { isAllowed } from '../../src/members/allow.ts'
import { fleetOf } from '../../src/members/fleet.ts'
import { type Arrival, memberAfter, memberOf } from '../../src/members/member.ts'
import { placeOf } from '../../src/members/place.ts'
import { barToJoin, mayEnter } from '../../src/members/register.ts'
import { Replays } from '../../src/members/replays.ts'

const rule = (more: object) => ({ name: undefined, from: undefined, labels: [], ...more })
const comer = { name: 'gpu-1', labels: ['gpu', 'eu'], addresses: ['10.1.2.3', '10.1.2.3'] }

describe('a rule that lets in', () => {
  it('matches by all that it gives: name, both addresses, labels', () => {
    expect(isAllowed(comer, [])).toBe(false)
    expect(isAllowed(comer, [rule({ name: 'gpu-*' })])).toBe(true)
    expect(isAllowed(comer, [rule({ name: 'cpu-*' }), rule({ labels: ['gpu'] })])).toBe(true)
    expect(isAllowed(comer, [rule({ name: 'gpu-*', labels: ['us'] })])).toBe(false)
    expect(isAllowed(comer, [rule({ labels: ['gpu', 'eu'] })])).toBe(true)
    expect(isAllowed(comer, [rule({ from: ['10.0.0.0/8'] })])).toBe(true)
    const elsewhere = { ...comer, addresses: ['10.1.2.3', '203.0.113.1'] }
    expect(isAllowed(elsewhere, [rule({ from: ['10.0.0.0/8'] })])).toBe(false)
    expect(isAllowed({ ...comer, addresses: [] }, [rule({ from: ['10.0.0.0/8'] })])).toBe(false)
  })
})

describe('a state of a member', () => {
  it('changes by what happens to it, and by nothing else', () => {
    expect(memberAfter('pending', 'accept')).toBe('accepted')
    expect(memberAfter('pending', 'heard')).toBe('pending')
    expect(memberAfter('pending', 'silence')).toBe('forgotten')
    expect(memberAfter('pending', 'reject')).toBe('forgotten')
    expect(memberAfter('accepted', 'silence')).toBe('gone')
    expect(memberAfter('gone', 'heard')).toBe('accepted')
    expect(memberAfter('gone', 'silence')).toBe('gone')
    expect(memberAfter('accepted', 'leave')).toBe('leaving')
    expect(memberAfter('leaving', 'heard')).toBe('leaving')
    expect(memberAfter('leaving', 'silence')).toBe('leaving')
    expect(memberAfter('leaving', 'ended')).toBe('forgotten')
  })
})

function member(name: string, origin: string, instance: string | undefined, more = {}) {
  const agent =
    instance === undefined ? undefined : { instance, managed: false, key: Buffer.alloc(1), tag: '' }
  const arrival: Arrival = { name, how: 'joined', origin, labels: [], version: '', agent }
  return { ...memberOf(arrival, 'accepted', { ms: 0, wallMs: 0 }), ...more }
}

describe('a name', () => {
  const seen = (...members: ReturnType<typeof member>[]) => ({
    others: [{ name: 'den', origin: 'http://10.0.0.9:11434' }],
    members: new Map(members.map((each) => [each.name, each])),
    membersMax: 2,
  })
  const comer = { name: 'ash', instance: 'two', origin: 'http://10.0.0.2:1' }
  const code = (...members: ReturnType<typeof member>[]) => barToJoin(comer, seen(...members))?.code

  it('is free, or that of one who is at the same place, is silent, or only remembered', () => {
    expect(code()).toBeUndefined()
    expect(code(member('ash', 'http://10.0.0.1:1', 'one'))).toBe('name_taken')
    expect(code(member('ash', 'http://10.0.0.2:1', 'one'))).toBeUndefined()
    expect(code(member('ash', 'http://10.0.0.1:1', 'two'))).toBeUndefined()
    expect(code(member('ash', 'http://10.0.0.1:1', 'one', { state: 'gone' }))).toBeUndefined()
    expect(code(member('ash', 'http://10.0.0.1:1', undefined))).toBeUndefined()
  })

  it('is refused to a place that is somebody else, and where there is no room', () => {
    expect(code(member('elm', 'http://10.0.0.2:1', 'x'))).toBe('name_taken')
    expect(barToJoin({ ...comer, name: 'den' }, seen())?.code).toBe('name_taken')
    expect(barToJoin({ ...comer, origin: 'http://10.0.0.9:11434' }, seen())?.code).toBe(
      'name_taken',
    )
    const [one, two] = [
      member('a', 'http://10.0.0.3:1', 'x'),
      member('b', 'http://10.0.0.4:1', 'y'),
    ]
    expect(code(one, two)).toBe('members_full')
  })
})

it('who was accepted enters again from the same address only', () => {
  const known = {
    name: 'gpu-1',
    kind: 'agent',
    serving: false,
    origin: 'http://10.1.2.3:1',
    address: '10.1.2.3',
    labels: [],
  } as const
  const enter = (answer: 'accepted' | 'allowed' | 'rejected', address = '10.1.2.3') =>
    mayEnter(
      { ...comer, addresses: [address, address] },
      { rules: [], known: { ...known, answer } },
    )
  expect(enter('accepted')).toBe('accepted')
  expect(enter('accepted', '10.9.9.9')).toBe('pending')
  // A rule that is gone lets nobody in any more.
  expect(enter('allowed')).toBe('pending')
  expect(enter('rejected')).toBe('rejected')
  expect(enter('rejected', '10.9.9.9')).toBe('pending')
  expect(mayEnter(comer, { rules: [rule({ name: '*' })], known: undefined })).toBe('accepted')
})

describe('a place to call', () => {
  const rules = { isAllowed: () => false, ownAddresses: [], ownPort: 1 }
  const place = (url: string | undefined, addresses: string[] = []) =>
    placeOf({ url, port: 7, peer: '10.0.0.1' }, rules, async () => {
      if (addresses.length === 0) throw new Error('ENOTFOUND')
      return addresses.map((address) => ({ address, family: 4 }))
    })

  it('is where the call came from, or an address that was checked, and no name', async () => {
    expect(await place(undefined)).toEqual({ address: '10.0.0.1', origin: 'http://10.0.0.1:7' })
    expect(await place('http://[::ffff:a00:2]:8/')).toMatchObject({ origin: 'http://10.0.0.2:8' })
    expect(await place('http://box.example:8', ['127.0.0.1', '10.0.0.3'])).toMatchObject({
      origin: 'http://10.0.0.3:8',
    })
    expect(await place('http://box.example', ['127.0.0.1', '169.254.1.1'])).toMatchObject({
      code: 'address_refused',
      sentence: 'box.example can not join: 127.0.0.1 is loopback; 169.254.1.1 is link-local',
    })
    expect(await place('http://box.example')).toMatchObject({ code: 'address_refused' })
    expect(await place('http://2130706433/')).toMatchObject({ code: 'address_refused' })
    expect(await place('http://0x7f.1/')).toMatchObject({ code: 'address_refused' })
  })
})

describe('nonces', () => {
  it('count once, for as long as their signature holds, and are bounded', () => {
    const replays = new Replays(120_000)
    expect(replays.see('a', 0)).toBe('new')
    expect(replays.see('a', 119_999)).toBe('seen')
    expect(replays.see('a', 120_001)).toBe('new')
    for (let each = 0; each < 9_999; each++) replays.see(`n${each}`, 120_002)
    expect(replays.see('one too many', 120_003)).toBe('full')
    expect(replays.see('a', 120_003)).toBe('seen')
    expect(replays.see('one too many', 250_000)).toBe('new')
  })
})

it('a fleet has each name and each place once, and the configuration goes first', () => {
  const source = (...backends: ReturnType<typeof backendAt>[]) => ({ backends: () => backends })
  const shadowed: string[] = []
  const fleet = fleetOf(
    [
      source(backendAt('a', 'http://10.0.0.1')),
      source(backendAt('a', 'http://10.0.0.2'), backendAt('b', 'http://10.0.0.1')),
      source(backendAt('c', 'http://10.0.0.3')),
    ],
    (backend, by) => shadowed.push(`${backend.origin} ${by.name}`),
  )
  expect(fleet.map(({ name, origin }) => [name, origin])).toEqual([
    ['a', 'http://10.0.0.1'],
    ['c', 'http://10.0.0.3'],
  ])
  expect(shadowed).toEqual(['http://10.0.0.2 a', 'http://10.0.0.1 a'])
})
