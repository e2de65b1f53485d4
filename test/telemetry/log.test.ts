import { pino } from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createLog, logObserver } from '../../src/telemetry/log.ts'
import { severalObservers } from '../../src/telemetry/several.ts'
import { handClock } from '../help/clock.ts'
import { exchangeEnded } from './facts.ts'

function logOf() {
  const lines: string[] = []
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(line) })
  return {
    observer: logObserver({
      write: (level, title, fields) => logger[level](fields(), title),
    }),
    lines,
    last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>,
  }
}

describe('the log', () => {
  it('has one line for an exchange, with what anyone could ask', () => {
    const { observer, lines, last } = logOf()
    observer.exchangeStarted?.('ollama', 'chat')
    observer.exchangeEnded?.(exchangeEnded({ attempts: 2, trail: ['oak: refused 500 crashed'] }))
    expect(lines).toHaveLength(1)
    expect(last()).toEqual({
      level: 30,
      time: expect.anything(),
      msg: 'exchange',
      id: 'x-1',
      api: 'ollama',
      op: 'chat',
      model: 'm:latest',
      tenant: 'anna',
      priority: 'normal',
      backend: 'walnut',
      outcome: 'ok',
      status: 200,
      attempts: 2,
      trail: ['oak: refused 500 crashed'],
      wait_ms: 12,
      first_byte_ms: 251,
      total_ms: 1_000,
      bytes_in: 300,
      bytes_out: 5_000,
      prompt_tokens: 26,
      output_tokens: 98,
    })
  })

  it('says where an answer went on', () => {
    const { observer, last } = logOf()
    const leg = { from: 'oak', to: 'elm', method: 'trailing', result: 'whole', afterMs: 3.4 }
    const askedWallMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
    observer.exchangeEnded?.(exchangeEnded({ continued: [{ ...leg, askedWallMs }] }))
    expect(last()['continued']).toEqual([
      'oak → elm by trailing after 3 ms at 2026-01-02T03:04:05.678Z: whole',
    ])
    const unmet = { ...leg, result: 'brokeOff', askedWallMs: undefined }
    observer.exchangeEnded?.(exchangeEnded({ continued: [unmet] }))
    expect(last()['continued']).toEqual(['oak → elm by trailing after 3 ms: brokeOff'])
    observer.exchangeEnded?.(exchangeEnded())
    expect(last()).not.toHaveProperty('continued')
  })

  it('says what fails louder, but not that a client left', () => {
    const { observer, last } = logOf()
    const levelOf = (ending: 'client_closed' | 'stream_broken') => {
      observer.exchangeEnded?.(exchangeEnded({ ending, figures: undefined }))
      return last()['level']
    }
    expect([levelOf('stream_broken'), levelOf('client_closed')]).toEqual([40, 30])
  })

  it('has a line for each turn of a backend, of a breaker and of a load', () => {
    const { observer, lines, last } = logOf()
    observer.backendTurned?.('walnut', 'away', 'connection refused')
    expect(last()).toMatchObject({ level: 40, backend: 'walnut', state: 'away' })
    observer.backendTurned?.('walnut', 'ready', '')
    expect(last()).toMatchObject({ level: 30 })
    observer.breakerTurned?.('walnut', 'm:latest', 'resting')
    expect(last()).toMatchObject({ level: 40, model: 'm:latest', state: 'resting' })
    observer.loaded?.('walnut', 'm:latest', 'ok', 1_234.5)
    expect(last()).toMatchObject({ result: 'ok', took_ms: 1_235 })
    observer.noticed?.('something odd', { id: 'x-1' })
    expect(last()).toMatchObject({ msg: 'something odd', id: 'x-1' })
    expect(lines).toHaveLength(5)
  })
})

describe('the log for eyes', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('is one line without anything that a terminal would obey', () => {
    let written = ''
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      written += String(text)
      return true
    })
    const log = createLog({ level: 'info', format: 'pretty' }, true, handClock())
    const model = 'x\n12:00:00 ! forged\u001b[2J\u009b31m\u202e'
    logObserver(log).exchangeEnded?.(exchangeEnded({ model, trail: ['a: \u001b]0;x'] }))
    log.close()
    expect(written.match(/\n/g)).toHaveLength(1)
    expect(written).toContain('exchange id=x-1 api=ollama op=chat')
    expect(written.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })
})

describe('several observers', () => {
  it('hear each fact that they care for, once', () => {
    const heard: string[] = []
    const all = severalObservers([
      { retried: (backend) => void heard.push(`one ${backend}`) },
      {},
      {
        retried: (backend) => void heard.push(`two ${backend}`),
        noticed: (text) => void heard.push(text),
      },
    ])
    all.retried('walnut', 'busy')
    all.noticed('a word')
    all.probed('walnut', 1, true)
    expect(heard).toEqual(['one walnut', 'two walnut', 'a word'])
  })
})
