import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { RequestHeaders } from '../../src/guard/headers.ts'
import { tenantOf } from '../../src/guard/tenant.ts'

const settings = {
  trustedFrom: ['10.0.0.0/8', '192.168.1.9', 'fd00::/8'],
  userHeaders: ['X-OpenWebUI-User-Id', 'X-Forwarded-User'],
}
const tenant = (peerAddress: string | undefined, headers: RequestHeaders = {}, with_ = settings) =>
  tenantOf({ peerAddress, headers }, with_)

describe('tenantOf', () => {
  it.each(['10.1.2.3', '::ffff:10.1.2.3', '192.168.1.9', 'fd12::1'])(
    'believes %s who the user is',
    (peer) => {
      expect(tenant(peer, { 'x-forwarded-user': 'u1' })).toBe('user:u1')
    },
  )

  it('takes the first header in the order of the settings', () => {
    expect(tenant('10.0.0.1', { 'x-forwarded-user': 'b', 'x-openwebui-user-id': 'a' })).toBe(
      'user:a',
    )
    expect(tenant('10.0.0.1', { 'x-forwarded-user': 'b', 'x-openwebui-user-id': ' ' })).toBe(
      'user:b',
    )
  })

  it.each(['192.168.1.8', '11.0.0.1', '::1', '127.0.0.1'])('does not believe %s', (peer) => {
    expect(tenant(peer, { 'x-forwarded-user': 'u1' })).toBe(peer)
  })

  it('believes nobody unless told', () => {
    const nobody = { ...settings, trustedFrom: [] }
    expect(tenant('10.0.0.1', { 'x-forwarded-user': 'u1' }, nobody)).toBe('10.0.0.1')
  })

  it('passes over a user that is too long or has strange signs', () => {
    for (const user of ['u'.repeat(257), 'a\u0007b', 'a\nb', 'ü'])
      expect(tenant('10.0.0.1', { 'x-forwarded-user': user })).toBe('10.0.0.1')
    expect(tenant('10.0.0.1', { 'x-forwarded-user': 'u'.repeat(256) })).toBe(
      `user:${'u'.repeat(256)}`,
    )
  })

  it('knows a key by the start of its hash, never by itself', () => {
    const hash = createHash('sha256').update('sk-1').digest('hex').slice(0, 16)
    expect(tenant('1.2.3.4', { authorization: 'Bearer sk-1' })).toBe(`key:${hash}`)
    expect(tenant('1.2.3.4', { 'x-api-key': 'sk-1' })).toBe(`key:${hash}`)
    expect(tenant('1.2.3.4', { authorization: 'Bearer sk-1', 'x-api-key': 'sk-2' })).toBe(
      `key:${hash}`,
    )
    expect(tenant('10.0.0.1', { 'x-forwarded-user': 'u', 'x-api-key': 'sk-1' })).toBe('user:u')
  })

  it('falls back to the address, in one form', () => {
    expect(tenant('::ffff:1.2.3.4')).toBe('1.2.3.4')
    expect(tenant('FE80::1%eth0')).toBe('fe80::1')
    expect(tenant(undefined)).toBe('unknown')
    expect(tenant('1.2.3.4', { authorization: 'Basic eDp5', 'x-api-key': '' })).toBe('1.2.3.4')
  })
})
