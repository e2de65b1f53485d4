import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { readArguments } from '../../backends/simulator/main.ts'
import { chatText, post, sky } from './asking.ts'

async function start(...args: string[]): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['backends/simulator/main.ts', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const part of child.stdout ?? []) {
    said += String(part)
    if (said.includes('\n')) break
  }
  const url = /^ready (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(said)?.[1]
  if (url === undefined) throw new Error(`it said ${said}`)
  return { child, url }
}

test('a process says one line when it is ready and ends with 0 when it is told to', async () => {
  const simulator = await start('--models', 'a,b', '--name', 'walnut', '--speed', '5000')
  expect(await chatText(simulator, 'a')).not.toBe('')
  const state = await (await fetch(`${simulator.url}/sim/state`)).json()
  expect(state).toMatchObject({ name: 'walnut' })
  simulator.child.kill('SIGTERM')
  expect(await once(simulator.child, 'exit')).toEqual([0, null])
})

test('a killed process breaks its streams', async () => {
  const simulator = await start('--models', 'a', '--speed', '20')
  const response = await post(simulator, '/api/chat', { model: 'a', messages: sky })
  const reader = response.body?.getReader()
  await reader?.read()
  simulator.child.kill('SIGKILL')
  await expect(
    (async () => {
      while (!(await reader?.read())?.done);
    })(),
  ).rejects.toThrow()
  await expect(fetch(simulator.url)).rejects.toThrow()
})

test('arguments become settings, and wrong ones are told apart', () => {
  expect(
    readArguments([
      '--load-seconds=2',
      '--memory=16GiB',
      '--kinds=a:b=diverges,c=thinks',
      '--keep-alive=-1',
      '--set=maxQueue=3',
      '--faults=[{"kind":"busy"}]',
    ]),
  ).toEqual({
    loadMs: 2000,
    memoryBytes: 16 * 2 ** 30,
    kinds: { 'a:b': 'diverges', c: 'thinks' },
    keepAliveMs: Infinity,
    maxQueue: 3,
    faults: [{ kind: 'busy' }],
  })
  expect(() => readArguments(['--slots', 'many'])).toThrow(/needs a number/)
  expect(() => readArguments(['--kinds', 'a=clever'])).toThrow(/one of continues/)
})
