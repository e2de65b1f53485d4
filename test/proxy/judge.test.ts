import { describe, expect, it } from 'vitest'
import { blame, isDeath } from '../../src/core/outcome.ts'
import { sayOutcome } from '../../src/pool/outcome-words.ts'
import { failureOf } from '../../src/proxy/failures.ts'
import { judgeError, judgePacked, judgeRefusal, judgeTooLarge } from '../../src/proxy/judge.ts'
import { isWorthRetrying } from '../../src/proxy/retry.ts'
import { SocketTrouble } from '../../src/proxy/wire.ts'

function trouble(
  code: string,
  how: { sent?: boolean; reusedSocket?: boolean } = {},
  message = 'x',
) {
  const cause = Object.assign(new Error(message), { code })
  return new SocketTrouble(message, { sent: true, reusedSocket: false, ...how }, cause)
}

describe('an error of the wire', () => {
  it('before anything was sent is a server that can not be reached, whatever its code', () => {
    for (const code of [
      'ECONNREFUSED',
      'UND_ERR_CONNECT_TIMEOUT',
      'ETIMEDOUT',
      'CERT_HAS_EXPIRED',
      '',
    ])
      expect(judgeError(trouble(code, { sent: false }), false).kind).toBe('unreachable')
  })

  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is signed by itself'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its certificate is signed by nobody who is trusted here'],
    ['CERT_HAS_EXPIRED', 'its certificate has expired'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name'],
    ['EAI_AGAIN', 'its name does not resolve'],
  ])('says in words what %s means', (code, text) => {
    expect(judgeError(trouble(code, { sent: false }), false)).toEqual({ kind: 'unreachable', text })
  })

  it('after it was sent is a connection that broke off', () => {
    expect(judgeError(trouble('ECONNRESET'), false)).toEqual({
      kind: 'brokeOff',
      afterFirstByte: false,
      reusedSocket: false,
      text: 'connection lost',
    })
    expect(judgeError(trouble('UND_ERR_SOCKET'), true)).toMatchObject({ afterFirstByte: true })
  })

  it('that is no HTTP is a fault of the server', () => {
    for (const error of [trouble('HPE_INVALID_CONSTANT'), trouble('', {}, 'bad response')])
      expect(judgeError(error, false)).toMatchObject({ kind: 'refused', why: 'serverFault' })
  })

  it('of a request that can not be written is held against no server', () => {
    const outcome = judgeError(trouble('UND_ERR_INVALID_ARG', { sent: false }), false)
    expect(blame(outcome)).toBe('client')
    expect(isWorthRetrying(outcome)).toBe(false)
  })

  it('tells a client neither address nor path', () => {
    const error = trouble('ECONNREFUSED', { sent: false }, 'connect ECONNREFUSED 10.1.2.3:11434')
    expect(JSON.stringify(judgeError(error, false))).not.toMatch(/10\.1|11434/)
  })
})

describe('a refusal', () => {
  it.each([
    [503, 'server busy, please try again.  maximum pending requests exceeded', 'busy'],
    [429, '', 'busy'],
    [404, `{"error":"model 'm' not found"}`, 'noModel'],
    [404, '{"error":"model \\"m\\" not found, try pulling it first"}', 'noModel'],
    [404, '404 page not found', 'clientFault'],
    [400, '{"error":"\\"m\\" does not support chat"}', 'clientFault'],
    [401, '', 'clientFault'],
    [500, 'llama runner process has terminated: exit status 2', 'crashed'],
    [500, 'llama-server process has terminated: error', 'crashed'],
    [500, 'model runner has unexpectedly stopped, this may be due to', 'crashed'],
    [500, 'an error was encountered while running the model: unexpected EOF', 'crashed'],
    [500, 'model requires more system memory (8 GiB) than is available', 'outOfMemory'],
    [500, 'cudaMalloc failed: out of memory', 'outOfMemory'],
    [500, '{"error":"option \\"num_ctx\\" must be of type integer"}', 'clientFault'],
    [500, 'something else', 'serverFault'],
    [502, '', 'serverFault'],
  ])('of %i "%s" means %s', (status, text, why) => {
    expect(judgeRefusal(status, text).why).toBe(why)
  })
})

describe('a bad answer', () => {
  it.each([
    ['packed', judgePacked('gzip'), 'gzip'],
    ['too large', judgeTooLarge(8_388_608), '8388608'],
  ])(
    'that is %s is the fault of its backend, and another one may do better',
    (_how, outcome, word) => {
      expect(blame(outcome)).toBe('backend')
      expect(isDeath(outcome)).toBe(false)
      expect(isWorthRetrying(outcome)).toBe(true)
      expect(failureOf(outcome)).toMatchObject({
        code: 'upstream_failed',
        status: 502,
        message: expect.stringContaining(word),
      })
      expect(sayOutcome(outcome)).toContain(word)
    },
  )

  it('is told of in few words, however long the name of its coding is', () => {
    expect(judgePacked('x'.repeat(10_000)).text.length).toBeLessThan(200)
  })
})

describe('what an outcome says', () => {
  const brokeOff = {
    kind: 'brokeOff',
    afterFirstByte: false,
    reusedSocket: false,
    text: '',
  } as const

  it('counts a lost connection as a death, but not one that was just being closed', () => {
    expect(isDeath(brokeOff)).toBe(true)
    expect(isDeath({ ...brokeOff, reusedSocket: true })).toBe(false)
    expect(blame({ ...brokeOff, reusedSocket: true })).toBe('nobody')
  })

  it('blames nobody for a stream that ended cleanly in the middle', () => {
    const silent = { ...brokeOff, afterFirstByte: true, clean: true }
    expect(isDeath(silent)).toBe(false)
    expect(blame(silent)).toBe('nobody')
  })

  it('allows another attempt only while the client has no byte and the request is not at fault', () => {
    expect(isWorthRetrying(brokeOff)).toBe(true)
    expect(isWorthRetrying({ ...brokeOff, afterFirstByte: true })).toBe(false)
    expect(isWorthRetrying({ kind: 'unreachable', text: '' })).toBe(true)
    expect(isWorthRetrying({ kind: 'clientLeft' })).toBe(false)
    expect(isWorthRetrying({ kind: 'timedOut', limit: 'idle', text: '' })).toBe(false)
    expect(isWorthRetrying(judgeRefusal(503, ''))).toBe(true)
    expect(isWorthRetrying(judgeRefusal(400, ''))).toBe(false)
  })
})
