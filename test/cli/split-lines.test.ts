import { describe, expect, it } from 'vitest'
import { TextAnswer } from '../../src/cli/split-answer.ts'
import { EventReader } from '../../src/cli/split-events.ts'
import { lineOfEvent } from '../../src/cli/split-plain.ts'
import { linesOfPlan } from '../../src/cli/split-plan.ts'
import { linesOfFailures, linesOfReport } from '../../src/cli/split-report.ts'
import { sizeOf, spanOf, wholeSpanOf } from '../../src/cli/split-words.ts'

describe('events of a stream', () => {
  const stream =
    ': hello\n\nevent: planned\r\ndata: {"parts": 2}\r\n\r\ndata: a\ndata:b\n\nevent: lost\n\ndata: é ☀️: 1\n\n'
  const events = [
    { name: 'planned', data: '{"parts": 2}' },
    { name: '', data: 'a\nb' },
    { name: '', data: 'é ☀️: 1' },
  ]

  it.each([1, 2, 3, 7, 1_000])('are the same in pieces of %i', (size) => {
    const reader = new EventReader()
    const heard = []
    for (let at = 0; at < stream.length; at += size)
      heard.push(...reader.feed(stream.slice(at, at + size)))
    expect(heard).toEqual(events)
  })
})

describe('plain lines', () => {
  const part = {
    kind: 'part',
    name: 'part 7',
    stage: 'map',
    backend: 'den',
    ms: 1_240,
    done: 12,
    parts: 31,
  } as const

  it.each([
    [{ kind: 'planned', parts: 31, by: 'markdown' } as const, 'planned 31 parts by markdown'],
    [{ ...part, state: 'answered' } as const, 'part 7 answered by den in 1.2 s (12/31)'],
    [{ ...part, state: 'retried' } as const, 'part 7 failed at den after 1.2 s, asked again'],
    [
      { ...part, state: 'hedged' } as const,
      'part 7 asked of den as well, since it takes 1.2 s already',
    ],
    [{ ...part, state: 'failed' } as const, 'part 7 failed at den (12/31)'],
    [{ ...part, state: 'failed', backend: '' } as const, 'part 7 failed (12/31)'],
    [
      { ...part, name: 'reduce 1.2', stage: 'reduce', state: 'answered' } as const,
      'reduce 1.2 answered by den in 1.2 s',
    ],
  ])('%j', (event, line) => {
    expect(lineOfEvent(event)).toBe(line)
  })

  it('tell a report: how long, how fast, who, what is missing and what was decided', () => {
    const report = {
      parts: 31,
      by: 'markdown',
      combine: 'concat',
      backends: { attic: 12, den: 15, studio: 3 },
      wall_ms: 72_000,
      work_ms: 223_000,
      speedup: 3.1,
      retried: 2,
      hedged: 1,
      failed: [{ part: 7, label: 'lines 61-70', error: 'the runner\ndied' }],
      left_out: [{ backend: 'nas', context: 2048 }],
      auto: { split: true, why: 'it pays' },
    }
    expect(linesOfReport(report)).toEqual([
      '31 parts in 1m12s, 3.1× as fast as one by one, 2 asked again, 1 asked twice: den 15, attic 12, studio 3',
      'nas was left out: its context of 2048 tokens is too small',
      'split: it pays',
    ])
    expect(linesOfFailures(report)).toEqual([
      '1 part failed and is marked in the answer:',
      '  part 7 (lines 61-70): the runner died',
    ])
    const failed = Array.from({ length: 25 }, () => report.failed[0]!)
    expect(linesOfFailures({ failed })).toHaveLength(22)
    expect(linesOfFailures({ failed: [] })).toEqual([])
  })

  it('tell a plan', () => {
    expect(
      linesOfPlan({
        by: 'lines',
        combine: 'concat',
        parts: [
          { part: 1, label: 'lines 1-10', tokens: 90, start: 0, end: 10 },
          { part: 2, label: 'lines 11-20', tokens: 110, start: 10, end: 20 },
        ],
        backends: [
          { name: 'den', seats: 2, context: 4096, expected_ms_per_token: 12 },
          { name: 'attic', seats: 1, context: 2048, expected_ms_per_token: undefined },
        ],
      }),
    ).toEqual([
      'part 1   90 tokens  lines 1-10',
      'part 2  110 tokens  lines 11-20',
      'den    2 seats  context 4096  about 1.2 s a part',
      'attic  1 seat  context 2048  has not answered yet',
      '2 parts by lines, about 200 tokens, combined by concat; nothing was sent',
    ])
  })

  it('tell a plan of more parts than a call can have arguments', () => {
    const parts = Array.from({ length: 200_000 }, (_, at) => ({
      part: at + 1,
      label: 'lines',
      tokens: 5,
      start: at,
      end: at + 1,
    }))
    const lines = linesOfPlan({ by: 'lines', combine: 'concat', parts, backends: [] })
    expect(lines).toHaveLength(200_001)
  })

  it('say spans and sizes as people do', () => {
    const spans = [0, 1_240, 9_940, 9_960, 59_400, 72_000, 7_500_000].map(spanOf)
    expect(spans).toEqual(['0.0 s', '1.2 s', '9.9 s', '10 s', '59 s', '1m12s', '2h05m'])
    expect([-5, 400, 59_600].map(wholeSpanOf)).toEqual(['0 s', '0 s', '1m00s'])
    expect([850, 212_400, 999_600, 3_440_000].map(sizeOf)).toEqual([
      '850 B',
      '212 kB',
      '1.0 MB',
      '3.4 MB',
    ])
  })
})

describe('the answer', () => {
  function answerWith(options: { wholeLines?: boolean; terminal?: boolean; heading?: string }) {
    const written: string[] = []
    const answer = new TextAnswer({
      write: (text) => void written.push(text),
      heading: options.heading ?? '',
      terminal: options.terminal ?? false,
      aside: (write) => write(),
      wholeLines: () => options.wholeLines ?? false,
    })
    return { answer, written }
  }

  it('passes as it comes, and ends its last line', () => {
    const { answer, written } = answerWith({ heading: '=== a ===\n' })
    for (const piece of ['', 'one\n\x1b[2J', 'two']) answer.piece(piece)
    answer.end()
    expect(written).toEqual(['=== a ===\none\n\x1b[2J', 'two', '\n'])
  })

  it('has no heading when there is none of it', () => {
    const { answer, written } = answerWith({ heading: '=== a ===\n' })
    answer.end()
    expect(written).toEqual([])
  })

  it('is let out in whole lines where others are written between them', () => {
    const { answer, written } = answerWith({ wholeLines: true })
    for (const piece of ['on', 'e', '\ntwo\nth', 'ree']) answer.piece(piece)
    expect(written).toEqual(['one\ntwo\n'])
    answer.end()
    expect(written.join('')).toBe('one\ntwo\nthree\n')
  })

  it('can not move the cursor of a terminal', () => {
    const { answer, written } = answerWith({ terminal: true })
    answer.piece('a\tb\r\n\x1b]0;title\x07c\u009b2J\n')
    expect(written).toEqual(['a\tb\n]0;titlec2J\n'])
  })
})
