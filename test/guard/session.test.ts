import { describe, expect, it } from 'vitest'
import { sessionOf } from '../../src/guard/session.ts'

const tenants = { trustedFrom: ['10.0.0.0/8'], userHeaders: ['X-Forwarded-User'] }
const of = (headers: Record<string, string>, peerAddress = '10.1.2.3', tenant = 'user:ann') =>
  sessionOf({ peerAddress, headers }, tenant, tenants)

describe('the name of a conversation', () => {
  it('is the one that the client gives it', () => {
    expect(of({ 'x-chasqui-session': 'c1' })).toBe('user:ann c1')
    expect(of({ 'x-chasqui-session': 'c1', 'x-openwebui-chat-id': 'c2' })).toBe('user:ann c1')
    expect(of({})).toBeUndefined()
  })

  it('is that of a chat page only where its address is trusted', () => {
    const headers = { 'x-openwebui-chat-id': 'c2' }
    expect(of(headers)).toBe('user:ann c2')
    expect(of(headers, '192.168.1.9')).toBeUndefined()
  })

  it('of one tenant is never that of another', () => {
    const headers = { 'x-chasqui-session': 'c1' }
    expect(of(headers, '10.1.2.3', 'user:bob')).not.toBe(of(headers))
  })

  it('is none when it is too long, or holds what no name holds', () => {
    expect(of({ 'x-chasqui-session': 'x'.repeat(256) })).toBeDefined()
    expect(of({ 'x-chasqui-session': 'x'.repeat(257) })).toBeUndefined()
    expect(of({ 'x-chasqui-session': 'caf\u00e9' })).toBeUndefined()
    expect(of({ 'x-chasqui-session': '' })).toBeUndefined()
  })
})
