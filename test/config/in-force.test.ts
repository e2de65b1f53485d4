import { describe, expect, it } from 'vitest'
import { frameOf } from '../../src/config/frame.ts'
import { SettingsInForce } from '../../src/config/in-force.ts'
import { ConfigError } from '../../src/config/problem.ts'
import type { ReloadEnded } from '../../src/core/observer.ts'
import type { Settings } from '../../src/core/settings.ts'
import { problemsFrom, settingsFrom } from './help.ts'

/** Settings in force whose source is a text that the test changes. */
function inForce(text: string) {
  const source = { text, read: async (): Promise<void> => {} }
  const told: ReloadEnded[] = []
  const applied: number[] = []
  const settings: SettingsInForce = new SettingsInForce(settingsFrom(text), {
    async read(): Promise<Settings> {
      await source.read()
      const problems = problemsFrom(source.text)
      if (problems.length > 0)
        throw new ConfigError(problems, (line, column) => frameOf(source.text, line, column))
      return settingsFrom(source.text)
    },
    apply: () => void applied.push(settings.now.queue.waitingMax),
    observer: { reloaded: (fact) => void told.push(fact) },
  })
  return { settings, source, told, applied }
}

describe('the settings in force', () => {
  it('are exchanged in one object that everybody holds, a section at a time', async () => {
    const { settings, source, told, applied } = inForce('queue: {max: 1}')
    const held = settings.now
    const { queue } = held
    source.text = 'queue: {max: 2}'
    expect(await settings.reload('file')).toEqual({
      result: 'applied',
      changes: ['queue.max 1 → 2'],
      needsRestart: [],
    })
    expect(settings.now).toBe(held)
    expect([queue.waitingMax, held.queue.waitingMax]).toEqual([1, 2])
    expect(applied).toEqual([2])
    expect(told).toMatchObject([{ cause: 'file', result: 'applied' }])
  })

  it('stay whole when anything is wrong, and say where and what', async () => {
    const { settings, source, told, applied } = inForce('queue: {max: 1}')
    source.text = 'queue: {max: 2}\nbreaker: {share: 7}\nlimits: {body: 1MiB}'
    const refused = await settings.reload('SIGHUP')
    if (refused.result !== 'refused') throw new Error('it was not refused')
    expect(refused.problems.map(({ line, column, path }) => `${line}:${column} ${path}`)).toEqual([
      '2:18 breaker.share',
      '3:10 limits.body',
    ])
    expect(refused.report).toContain('chasqui.yaml:2:18: breaker.share')
    expect([settings.now.queue.waitingMax, applied, settings.refused]).toEqual([1, [], true])
    expect(told).toMatchObject([
      { result: 'refused', changes: [], problem: expect.stringMatching(/^chasqui\.yaml:2:18: /) },
    ])
    source.text = 'queue: {max: 1}'
    expect((await settings.reload('file')).result).toBe('unchanged')
    expect(settings.refused).toBe(false)
  })

  it('apply what can be, and name what needs a restart', async () => {
    const { settings, source, applied } = inForce('listen: "127.0.0.1:1"')
    source.text = 'listen: "127.0.0.1:2"'
    const needsRestart = ['listen 127.0.0.1:1 → 127.0.0.1:2']
    expect(await settings.reload('file')).toEqual({
      result: 'unchanged',
      changes: [],
      needsRestart,
    })
    expect([settings.now.listen.port, applied]).toEqual([1, []])
    source.text += '\nqueue: {max: 4}'
    expect(await settings.reload('file')).toMatchObject({ result: 'applied', needsRestart })
    expect(settings.now).toMatchObject({ listen: { port: 1 }, queue: { waitingMax: 4 } })
  })

  it('are reloaded one after another: who asks in the middle of one sees the newest', async () => {
    const { settings, source } = inForce('queue: {max: 1}')
    const gate = Promise.withResolvers<void>()
    source.read = () => gate.promise
    const first = settings.reload('file')
    const second = settings.reload('request')
    await Promise.resolve()
    source.text = 'queue: {max: 2}'
    gate.resolve()
    expect([(await first).result, (await second).result]).toEqual(['applied', 'unchanged'])
    source.text = 'queue: {max: 3}'
    expect((await settings.reload('file')).result).toBe('applied')
  })

  it('go on being reloaded after a fault of ours', async () => {
    const { settings, source } = inForce('queue: {max: 1}')
    source.read = () => Promise.reject(new Error('a fault'))
    await expect(settings.reload('file')).rejects.toThrow('a fault')
    source.read = async () => {}
    source.text = 'queue: {max: 2}'
    expect((await settings.reload('file')).result).toBe('applied')
  })
})
