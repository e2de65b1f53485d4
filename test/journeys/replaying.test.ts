import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fromJson, toJson } from '../../src/core/every-number.ts'
import type { DecisionEntry } from '../../src/routing/decision-entry.ts'
import { runCommand } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { startCalmFleet } from './routing-fleet.ts'

const secret = 'the-wording-of-a-prompt'

describe('a log of decisions', () => {
  it('holds what two hundred requests were given, and each comes out the same when it is made again', async () => {
    using folder = scratchFolder()
    const path = join(folder.path, 'decisions')
    {
      await using fleet = await startCalmFleet({
        simulators: [0, 1, 2].map((at) => ({
          ...{ models: ['llama3.2', 'qwen3'], maxLoaded: 2, slots: 2, loadMs: 30 },
          decodeTokensPerSecond: [2_000, 1_000, 500][at]!,
          answerTokens: 20,
        })),
        config: `routing: { decision_log: "${path}" }`,
        backend: (backend, at) => ({ ...backend, slots: 1 + (at % 2), slotsTotal: 3 }),
      })
      const ask = async (at: number) => {
        const answer = await fetch(`${fleet.url}/api/chat`, {
          method: 'POST',
          headers: { 'X-Chasqui-Priority': at % 7 === 0 ? 'batch' : 'normal' },
          body: JSON.stringify({
            model: at % 3 === 0 ? 'qwen3' : 'llama3.2',
            messages: [{ role: 'user', content: `${secret} ${at} `.repeat(1 + 70 * (at % 5)) }],
          }),
        })
        await answer.text()
        return answer.status
      }
      const answers = await Promise.all(Array.from({ length: 200 }, (_, at) => ask(at)))
      expect(answers.every((status) => status === 200)).toBe(true)
      const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
      expect(metrics).not.toMatch(/^chasqui_decision_log_dropped_total [1-9]/m)
    }
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const text = readFileSync(path, 'utf8')
    expect(text).not.toContain(secret)
    const lines = text.split('\n').slice(0, -1)
    const entries = lines.map((line) => fromJson(line) as DecisionEntry)
    const starts = entries.flatMap(({ actions }) => actions.filter(({ kind }) => kind === 'start'))
    // Each was given a seat once, when it came or later, and the log has both.
    expect(starts.length).toBeGreaterThanOrEqual(200)
    const newcomers = entries.filter(({ alone }) => alone).length
    expect(newcomers).toBeGreaterThan(0)
    expect(lines.length - newcomers).toBeGreaterThan(50)

    const same = await runCommand(['route', 'replay', path, '--json'])
    expect(JSON.parse(same.stdout)).toEqual({
      ...{ decisions: lines.length, newcomers, hedges: 0, givings: 0, same: lines.length },
      ...{ different: 0, unreadable: 0, first: null },
    })
    expect(same.code).toBe(0)

    // One that says that it went elsewhere, and a line that a killed process has begun.
    const at = entries.findIndex(({ actions }) => actions.some(({ kind }) => kind === 'start'))
    const entry = entries[at]!
    const actions = entry.actions.map((each) => ({ ...each, endpoint: 'elsewhere' }))
    writeFileSync(path, lines.with(at, toJson({ ...entry, actions })).join('\n'))
    appendFileSync(path, '\n{"nowMs":12')
    const other = await runCommand(['route', 'replay', path])
    expect(other.code).toBe(1)
    expect(other.stdout).toContain(
      `${lines.length} decisions: ${lines.length - 1} the same, 1 different`,
    )
    expect(other.stdout).toContain(`${newcomers} of them about newcomers`)
    expect(other.stdout).toContain('1 lines could not be read')
    expect(other.stdout).toContain(`the first that differs is in line ${at + 1}`)
    expect(other.stdout).toMatch(/noted {2}(newcomer|waiter \d+): .*elsewhere/)
    expect(other.stdout).toMatch(/now {4}(newcomer|waiter \d+): .* [abc]\n/)
  })

  it('is not there to be read: exit 2, said on stderr', async () => {
    const none = await runCommand(['route', 'replay', '/nowhere/at-all'])
    expect(none).toMatchObject({ code: 2, stdout: '' })
    expect(none.stderr).toContain('/nowhere/at-all can not be read')
  })
})
