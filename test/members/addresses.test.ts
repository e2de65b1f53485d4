import { describe, expect, it } from 'vitest'
import { addressList } from '../../src/guard/address.ts'
import { barOfAddress, originOf, plainAddress } from '../../src/members/addresses.ts'

const rules = {
  isAllowed: addressList([]),
  ownAddresses: ['192.168.7.7', '2001:db8::7'],
  ownPort: 11_435,
}
const bar = (address: string, port = 11_436, more: Partial<typeof rules> = {}) =>
  barOfAddress(address, port, { ...rules, ...more })

describe('an address that wants to join', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.9.9.9', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['0:0:0:0:0:ffff:7f00:0001', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['::', 'unspecified'],
    ['169.254.169.254', 'metadata'],
    ['::ffff:a9fe:a9fe', 'metadata'],
    ['fd00:ec2::254', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['169.254.1.1', 'link-local'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['febf::1', 'link-local'],
    ['224.0.0.251', 'multicast'],
    ['ff02::fb', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['240.0.0.1', 'reserved'],
    ['::7f00:1', 'inside an IPv6'],
    ['64:ff9b::7f00:1', 'inside an IPv6'],
    ['2002:7f00:1::', 'inside an IPv6'],
    ['localhost', 'no address'],
    ['1.2.3', 'no address'],
    ['', 'no address'],
  ])('is refused when it is %s', (address, why) => {
    expect(bar(address)).toContain(why)
  })

  it.each(['10.1.2.3', '192.168.1.20', '203.0.113.9', 'fd12::1', '2001:db8::1', '::ffff:10.1.2.3'])(
    'is good when it is %s',
    (address) => {
      expect(bar(address)).toBeUndefined()
    },
  )

  it('may be an exception of the operator, but never our own listener', () => {
    const isAllowed = addressList(['127.0.0.0/8', 'fe80::/10', '169.254.169.254', '::1'])
    for (const address of ['127.0.0.1', '::ffff:7f00:1', 'fe80::1', '169.254.169.254'])
      expect(bar(address, 11_436, { isAllowed })).toBeUndefined()
    const own = ['127.0.0.1', '127.3.3.3', '::1', '0.0.0.0', '::', '::ffff:7f00:1', '192.168.7.7']
    for (const address of [...own, '2001:db8::7', '2001:0db8:0::0:7'])
      expect(bar(address, 11_435, { isAllowed })).toContain('this proxy itself')
    expect(bar('192.168.7.7')).toBeUndefined()
  })
})

it('has one form for one address, and an origin to call', () => {
  expect(plainAddress('::FFFF:7f00:1')).toBe('127.0.0.1')
  expect(plainAddress('2001:0DB8::0001%eth0')).toBe('2001:db8::1')
  expect(plainAddress('box.example')).toBeUndefined()
  expect(originOf('10.0.0.1', 80)).toBe('http://10.0.0.1')
  expect(originOf('2001:db8::1', 11_436)).toBe('http://[2001:db8::1]:11436')
})
