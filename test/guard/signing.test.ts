import { describe, expect, it } from 'vitest'
import {
  isSameTag,
  joinKey,
  memberTag,
  sessionKey,
  sign,
  skewMsMaxDefault,
  verify,
} from '../../src/guard/signing.ts'

const key = joinKey('a token')
const nonce = '00112233445566778899aabbccddeeff'
const message = {
  key,
  method: 'POST',
  path: '/api/workers',
  body: '{"name":"a"}',
  nowMs: 1_000_000,
}
const header = sign({ ...message, nonce })

describe('a signature', () => {
  it('is believed by who has the token, and tells its nonce and its time', () => {
    expect(header).toMatch(/^v1 1000000 [0-9a-f]{32} [0-9a-f]{64}$/)
    expect(verify({ ...message, header })).toEqual({ ok: true, nonce, timestampMs: 1_000_000 })
    expect(verify({ ...message, body: Buffer.from(message.body), header }).ok).toBe(true)
  })

  it.each([
    ['another method', { method: 'GET' }],
    ['another path', { path: '/api/workers/a/leave' }],
    ['another body', { body: '{"name":"b"}' }],
    ['another token', { key: joinKey('another token') }],
    ['another nonce than the request had', { nonce: nonce.replace('0', '1') }],
  ])('is forged under %s', (_what, changed) => {
    expect(verify({ ...message, header, ...changed })).toEqual({ ok: false, why: 'forged' })
  })

  it('covers its own time and nonce', () => {
    const [version, timestamp, , mac] = header.split(' ')
    expect(verify({ ...message, header: `${version} 1000001 ${nonce} ${mac}` })).toMatchObject({
      why: 'forged',
    })
    const other = `${version} ${timestamp} ${nonce.replace('0', 'f')} ${mac}`
    expect(verify({ ...message, header: other })).toMatchObject({ why: 'forged' })
  })

  it('is stale beyond the difference that clocks may have, to either side, and not at it', () => {
    const at = (nowMs: number) => verify({ ...message, header, nowMs })
    expect(at(1_000_000 + skewMsMaxDefault).ok).toBe(true)
    expect(at(1_000_000 - skewMsMaxDefault).ok).toBe(true)
    expect(at(1_000_001 + skewMsMaxDefault)).toEqual({ ok: false, why: 'stale' })
    expect(at(999_999 - skewMsMaxDefault)).toEqual({ ok: false, why: 'stale' })
  })

  it.each([
    ['v1 1 2 3'],
    [header.replace('v1', 'v2')],
    [`${header} more`],
    [header.toUpperCase()],
    [header.slice(0, -1)],
  ])('that is not written as agreed is unreadable: %s', (text) => {
    expect(verify({ ...message, header: text })).toEqual({ ok: false, why: 'unreadable' })
  })

  it('is missed where there is none', () => {
    expect(verify({ ...message, header: undefined })).toEqual({ ok: false, why: 'unsigned' })
    expect(verify({ ...message, header: '' })).toEqual({ ok: false, why: 'unsigned' })
  })
})

describe('a session', () => {
  it('has a key that both nonces decide, in their order', () => {
    const session = sessionKey(key, 'one', 'two')
    expect(session).toEqual(sessionKey(joinKey('a token'), 'one', 'two'))
    expect(session).not.toEqual(sessionKey(key, 'two', 'one'))
    expect(session).not.toEqual(sessionKey(joinKey('x'), 'one', 'two'))
  })

  it('has a tag of 32 signs that tells nothing of its key', () => {
    const session = sessionKey(key, 'one', 'two')
    const tag = memberTag(session)
    expect(tag).toMatch(/^[0-9a-f]{32}$/)
    expect(session.toString('hex')).not.toContain(tag)
    expect(isSameTag(tag, memberTag(session))).toBe(true)
    expect(isSameTag(tag.slice(1), tag)).toBe(false)
    expect(isSameTag(`${tag.slice(0, -1)}g`, tag)).toBe(false)
  })
})
