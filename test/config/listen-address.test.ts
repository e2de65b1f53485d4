import { describe, expect, it } from 'vitest'
import { readListenAddress } from '../../src/config/listen-address.ts'

describe('readListenAddress', () => {
  it.each([
    ['127.0.0.1:11435', '127.0.0.1', 11435],
    ['[::1]:80', '::1', 80],
    ['0.0.0.0:0', '0.0.0.0', 0],
    ['Box.internal:65535', 'box.internal', 65535],
  ])('reads %s', (words, host, port) => {
    expect(readListenAddress(words)).toEqual({ host, port })
  })

  it('takes a missing host for every interface', () => {
    expect(readListenAddress(':11435')).toMatchObject({
      host: expect.stringMatching(/^(::|0\.0\.0\.0)$/),
    })
  })

  it.each([
    '',
    'localhost',
    '127.0.0.1',
    '::1:80',
    '[::1]',
    '[box]:80',
    'a b:80',
    'a:-1',
    'a:65536',
    '11435',
    'http://a:1',
    '-a:1',
  ])('refuses %j', (words) => {
    expect(readListenAddress(words)).toHaveProperty('message')
  })
})
