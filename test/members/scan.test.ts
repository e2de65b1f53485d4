import { describe, expect, it } from 'vitest'
import type { Answer } from '../../src/members/calls.ts'
import { addressesIn, scan } from '../../src/members/scan.ts'

const answer = (status: number, body: string): Answer => ({
  status,
  rawHeaders: [],
  body: Buffer.from(body),
})

describe('a range', () => {
  it('is every address in it', () => {
    expect(addressesIn('10.0.0.7')).toEqual(['10.0.0.7'])
    expect(addressesIn('10.0.0.6/30')).toEqual(['10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.7'])
    expect(addressesIn('10.0.0.0/22')).toHaveLength(1_024)
    expect(addressesIn('fd00::fffe/127')).toEqual(['fd00::fffe', 'fd00::ffff'])
    expect(addressesIn('::1')).toEqual(['::1'])
    // However wide, no more than may be asked.
    expect(addressesIn('fd00::/8')).toHaveLength(1_024)
  })
})

describe('a scan', () => {
  it('finds what answers as an Ollama does, and takes nothing else for one', async () => {
    const answers: Record<string, Answer> = {
      'http://10.0.0.1:11434': answer(200, '{"version":"0.33.0"}'),
      'http://10.0.0.2:11434': answer(200, '<html>'),
      'http://10.0.0.3:11434': answer(301, '{"version":"0.33.0"}'),
      'http://10.0.0.4:11434': answer(200, '{"version":"<script>"}'),
      'http://10.0.0.5:11434': answer(200, 'null'),
      'http://10.0.0.6:11434': answer(200, '{"version":"0.1.0"}'),
    }
    let atOnce = 0
    let most = 0
    const found = await scan(['10.0.0.0/26'], 11_434, async (origin, { path, timeoutMs }) => {
      expect([path, timeoutMs]).toEqual(['/api/version', 1_000])
      most = Math.max(most, ++atOnce)
      await new Promise((resolve) => setImmediate(resolve))
      atOnce--
      return answers[origin]
    })
    expect(found).toEqual([
      { origin: 'http://10.0.0.1:11434', version: '0.33.0' },
      { origin: 'http://10.0.0.6:11434', version: '0.1.0' },
    ])
    expect(most).toBe(32)
  })

  it('ends early when nobody wants it any more', async () => {
    let asked = 0
    await scan(
      ['10.0.0.0/24'],
      80,
      async () => {
        asked++
        return undefined
      },
      () => asked < 5,
    )
    expect(asked).toBeLessThan(40)
  })
})
