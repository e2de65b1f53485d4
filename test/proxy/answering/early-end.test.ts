import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../../src/core/outcome.ts'
import { earlyEndOf, failureOfEnd } from '../../../src/proxy/answering/early-end.ts'

const broke: Outcome = { kind: 'brokeOff', afterFirstByte: true, reusedSocket: false, text: 'lost' }
const late: Outcome = { kind: 'timedOut', limit: 'idle', text: 'it sent nothing for 5 s' }
const plain = { because: undefined, isTooLong: false, isSilent: false }

describe('an answer that broke off', () => {
  it('says why nobody goes on with it, where that is known', () => {
    const cut = 'the backend ended in the middle of the answer'
    expect(earlyEndOf(broke, plain)).toEqual({
      ending: 'stream_broken',
      code: 'answer_cut',
      message: cut,
    })
    const because = { why: 'nobody can', code: 'answer_cut' } as const
    expect(earlyEndOf(broke, { ...plain, because }).message).toBe(`${cut}, and nobody can`)
    const isTooLong = true
    expect(earlyEndOf(broke, { ...plain, because, isTooLong }).message).toMatch(/nobody can$/)
    expect(earlyEndOf(broke, { ...plain, isTooLong }).message).toMatch(/than is kept$/)
  })

  it('says which limit ran out, before any other reason', () => {
    const end = earlyEndOf(late, { ...plain, isTooLong: true })
    expect(end).toEqual({ ending: 'upstream_timeout', code: 'answer_cut', message: late.text })
  })

  it('is told to be a repetition where it ended without a word', () => {
    const isSilent = true
    expect(earlyEndOf(broke, { ...plain, isSilent }).code).toBe('repeat_guard')
    expect(earlyEndOf(broke, { ...plain, isSilent }).message).toMatch(/repeats itself/)
  })

  it('is what those found who tried to go on with it, whatever its last attempt was', () => {
    const because = { why: 'nobody can', code: 'answer_cut' } as const
    expect(earlyEndOf(broke, { ...plain, because, isSilent: true }).code).toBe('answer_cut')
    const guard = { why: '', code: 'repeat_guard' } as const
    expect(earlyEndOf(broke, { ...plain, because: guard }).code).toBe('repeat_guard')
  })
})

describe('an answer that is waited for no longer', () => {
  it('fails by its deadline or by our stop, and is nobody’s failure where the client left', () => {
    expect(failureOfEnd('deadline')?.code).toBe('total_timeout')
    expect(failureOfEnd('stop')).toMatchObject({ code: 'stopping', retryAfterS: 5 })
    expect(failureOfEnd('client')).toBeUndefined()
    expect(failureOfEnd(undefined)).toBeUndefined()
  })
})
