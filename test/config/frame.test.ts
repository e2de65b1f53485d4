import { describe, expect, it } from 'vitest'
import { problemsFrom, reportOf as shownBy } from './help.ts'

const reportOf = (text: string) => shownBy(problemsFrom(text), text)

describe('formatProblems', () => {
  it('shows the place, the line, a caret and a hint', () => {
    expect(reportOf('queue:\n  maxx: 5\n')).toBe(
      [
        'chasqui.yaml:2:3: queue.maxx is no known key',
        '    2 |   maxx: ***',
        '      |   ^',
        '  hint: did you mean "max"?',
      ].join('\n'),
    )
  })

  it('keeps the caret under its column behind a mask', () => {
    const report = reportOf('backends:\n  - {url: "http://a:b@c:1", slots: 0}')
    const [, line = '', caret = ''] = report.split('\n')
    expect(line).not.toContain('a:b')
    expect(caret.indexOf('^')).toBeLessThanOrEqual(line.length)
  })

  it('cuts a long line around the caret', () => {
    const report = reportOf(`allowed_hosts: [${'a.example, '.repeat(50)}[b]]`)
    const [, line = '', caret = ''] = report.split('\n\n').at(-1)?.split('\n') ?? []
    expect(line.length).toBeLessThan(140)
    expect(line[caret.indexOf('^')]).toBe('[')
  })

  it('shows the first fifty and counts the others', () => {
    const keys = Array.from({ length: 60 }, (_, index) => `zz${index}: 1`).join('\n')
    expect(reportOf(keys)).toContain('… and 10 more')
  })
})
