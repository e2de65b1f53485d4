import { describe, expect, it } from 'vitest'
import { mayChangeFleet } from '../../src/guard/admin.ts'
import type { RequestHeaders } from '../../src/guard/headers.ts'

const may = (peerAddress: string | undefined, headers: RequestHeaders = {}, token?: string) =>
  mayChangeFleet({ peerAddress, headers, token })

describe('mayChangeFleet', () => {
  it.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1'])(
    'lets %s',
    (peer) => {
      expect(may(peer)).toBe(true)
      expect(may(peer, {}, 'word')).toBe(true)
    },
  )

  it.each([
    undefined,
    '',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '::2',
    '128.0.0.1',
    '127.0.0.1.evil.example',
    '0.0.0.0',
  ])('does not let %j', (peer) => {
    expect(may(peer)).toBe(false)
  })

  it.each([
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'x-forwarded',
    'x-real-ip',
    'via',
  ])('does not let loopback with %s, even an empty one', (name) => {
    expect(may('127.0.0.1', { [name]: '127.0.0.1' })).toBe(false)
    expect(may('127.0.0.1', { [name]: '' })).toBe(false)
    expect(may('127.0.0.1', { [name]: undefined })).toBe(true)
  })

  it('lets whoever has the token, in either header', () => {
    expect(may('10.0.0.1', { authorization: 'Bearer word' }, 'word')).toBe(true)
    expect(may('10.0.0.1', { authorization: 'bearer  word' }, 'word')).toBe(true)
    expect(may('10.0.0.1', { 'x-chasqui-admin-token': 'word' }, 'word')).toBe(true)
    expect(may('127.0.0.1', { via: '1.1 x', 'x-chasqui-admin-token': 'word' }, 'word')).toBe(true)
    expect(
      may('10.0.0.1', { authorization: 'Bearer key', 'x-chasqui-admin-token': 'word' }, 'word'),
    ).toBe(true)
  })

  it('does not let another token, part of it, or any where none is set', () => {
    for (const given of ['wor', 'words', 'WORD', '', ' '])
      expect(may('10.0.0.1', { 'x-chasqui-admin-token': given }, 'word')).toBe(false)
    expect(may('10.0.0.1', { authorization: 'word' }, 'word')).toBe(false)
    expect(may('10.0.0.1', { authorization: 'Basic word' }, 'word')).toBe(false)
    expect(may('10.0.0.1', { 'x-chasqui-admin-token': '' }, '')).toBe(false)
    expect(may('10.0.0.1', { 'x-chasqui-admin-token': 'undefined' })).toBe(false)
  })
})
