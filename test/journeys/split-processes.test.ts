import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Herd, startHerd } from '../help/herd.ts'
import { openCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { linesOf, type SplitAnswerFields, streamSplit } from './split-fleet.ts'

const run = promisify(execFile)
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
)
if (!hasCurl) console.warn('skipped: there is no curl on this machine, so nothing here was tried')

const seedsModel = 'codellama:13b'
const simulator = ['--models', `${seedsModel},llama3.2`, '--slots', '2']

let herd: Herd
beforeAll(async () => {
  herd = await startHerd({
    simulators: [1, 2, 3].map(() => [...simulator, '--speed', '600']),
    args: ['--slots', '2'],
  })
}, 60_000)
afterAll(() => herd?.[Symbol.asyncDispose]())

const promptsSoFar = async () => {
  const traces = await Promise.all(herd.remotes.map((each) => each.trace()))
  return traces
    .flat()
    .map(({ bodyText }) => (JSON.parse(bodyText ?? '{}') as { prompt?: string }).prompt)
    .filter((prompt) => prompt !== undefined && prompt !== '')
}

describe.skipIf(!hasCurl)('the call of the seed, as it is written there', () => {
  const url = () => `${herd.url}/generate`
  const curl = async (...args: string[]) => {
    const { stdout } = await run('curl', ['-sS', '--max-time', '20', ...args])
    return JSON.parse(stdout) as SplitAnswerFields & { code?: string }
  }
  const commands = linesOf(25, 'apt install package')
  const request = (more: object = {}) =>
    JSON.stringify({ commands: commands.join('\n'), model: seedsModel, split: true, ...more })
  const instruction =
    'Turn these shell commands into Ansible tasks. Answer with YAML only: a list of tasks, each with a name.'
  const tens = [commands.slice(0, 10), commands.slice(10, 20), commands.slice(20)].map(
    (each, index) => each.join('\n') + (index < 2 ? '\n' : ''),
  )

  test.each([
    ['with the type that curl sends by itself', []],
    ['without a Content-Type', ['-H', 'Content-Type:']],
  ])('is answered %s, ten lines a part, the instruction before each', async (_name, more) => {
    for (const each of herd.remotes) await each.clearTrace()
    const answer = await curl('-X', 'POST', url(), ...more, '-d', request())
    expect(answer).toMatchObject({
      model: seedsModel,
      done: true,
      split: { parts: 3, by: 'lines', combine: 'concat', failed: [] },
    })
    expect(answer.response).not.toBe('')
    expect(new Set(await promptsSoFar())).toEqual(
      new Set(tens.map((part) => `${instruction}\n\n${part}`)),
    )
  })

  test('takes an instruction of its own, and "" for none', async () => {
    for (const [own, before] of [
      ['Explain each line', 'Explain each line\n\n'],
      ['', ''],
    ] as const) {
      for (const each of herd.remotes) await each.clearTrace()
      await curl(url(), '-d', request({ instruction: own }))
      expect(new Set(await promptsSoFar())).toEqual(new Set(tens.map((part) => before + part)))
    }
  })

  test('shows its plan without asking anybody', async () => {
    for (const each of herd.remotes) await each.clearTrace()
    const plan = await curl(url(), '-d', request({ dry_run: true }))
    expect(plan).toMatchObject({
      by: 'lines',
      combine: 'concat',
      parts: [
        { part: 1, label: 'lines 1-10', start: 0 },
        { part: 2, label: 'lines 11-20' },
        { part: 3, label: 'lines 21-25' },
      ],
      backends: [
        { name: 'a', seats: 2 },
        { name: 'b', seats: 2 },
        { name: 'c', seats: 2 },
      ],
    })
    expect(await promptsSoFar()).toEqual([])
  })
})

describe('a backend that is killed in the middle of 200 parts', () => {
  test('costs nothing: the answer is whole, and the same as without it', async () => {
    const body = {
      input: linesOf(200).join('\n'),
      split: { by: 'lines', size: 1 },
      options: { num_predict: 20 },
    }
    const undisturbed = await streamSplit(herd.url, body)
    expect(undisturbed.last.split).toMatchObject({ parts: 200, failed: [] })
    const call = openCall(`${herd.url}/generate`, {
      body: { model: 'llama3.2', ...body, stream: true },
    })
    await until(() => call.lines().length > 30)
    const [, victim] = herd.remotes
    victim!.process.kill('SIGKILL')
    await victim!.process.exited()
    expect(call.lines().length).toBeLessThan(180)
    expect(await call.ended).toBe('clean')
    const lines = call.lines().map((line) => JSON.parse(line) as SplitAnswerFields)
    expect(lines.map(({ response }) => response).join('')).toBe(undisturbed.text)
    const { split } = lines.at(-1)!
    expect(split).toMatchObject({ parts: 200, failed: [] })
    expect(Object.values(split.backends).reduce((sum, each) => sum + each, 0)).toBe(200)
    expect(split.backends['b']).toBeLessThan(split.backends['a']!)
    await until(async () => (await herd.status()).in_flight === 0)
  })
})
