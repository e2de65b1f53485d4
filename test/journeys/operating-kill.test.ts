import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { ask, statusOf } from '../help/herd.ts'
import { freePort } from '../help/ports.ts'
import { startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const roundsMax = 5

it('starts again after every kill -9, at whatever moment it came', async () => {
  await using a = await startSimulator({
    name: 'a',
    models: ['keep', ...copies('a')],
    answerTokens: 3,
  })
  await using away = await startSimulator({ name: 'b', models: ['keep', ...copies('a')] })
  using folder = scratchFolder()
  const dataDir = join(folder.path, 'data')
  const port = await freePort()
  const env = {
    CHASQUI_DATA: dataDir,
    CHASQUI_LIMITS_BODY_IN_MEMORY_MAX: '1KiB',
    CHASQUI_PROBES_INTERVAL: '300ms',
    CHASQUI_PROBES_TIMEOUT: '250ms',
    CHASQUI_MAKE_ADMIN_TOKEN: '1',
  }
  const args = [
    'up',
    '--listen',
    `0.0.0.0:${port}`,
    ...[a, away].flatMap(({ url }, index) => ['--backend', `${url},name=${'ab'[index]}`]),
  ]
  const start = () => startProcess(args, env)
  const random = dice(0x5eed)
  const dead: number[] = []
  const tokens = new Set<string>()
  let deleted = 0

  for (let round = 0; round < roundsMax; round++) {
    await using proxy = await start()
    expect(proxy.stdout()).toBe(`ready http://127.0.0.1:${port}\n`)
    tokens.add(readFileSync(join(dataDir, 'admin-token'), 'utf8'))
    // What the killed ones left is gone; nothing stands in the way.
    for (const pid of dead) expect(existsSync(join(dataDir, 'spool', String(pid)))).toBe(false)
    await until(async () =>
      (await statusOf(proxy.url)).backends.some(
        ({ name, state }) => name === 'a' && state === 'ready',
      ),
    )

    // Large bodies on their way in, answers on their way out, deletions that one backend misses.
    if (round === 2) away.faults.replace([{ kind: 'refuse', path: '*' }])
    const uploads = [1, 2, 3].map(() => halfSent(`${proxy.url}/api/generate`))
    await until(() => filesIn(join(dataDir, 'spool', String(proxy.pid))) >= 3)
    const deletions = copies('a').slice(deleted, deleted + 2)
    deleted += 2
    for (const model of deletions)
      void ask(`${proxy.url}/api/delete`, {
        method: 'DELETE',
        body: JSON.stringify({ model }),
      }).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, random() * 60))
    proxy.kill('SIGKILL')
    expect(await proxy.exited()).toBe('SIGKILL')
    dead.push(proxy.pid)
    for (const upload of uploads) upload.destroy()
    const file = join(dataDir, 'owed-deletes.json')
    if (existsSync(file)) expect(() => JSON.parse(readFileSync(file, 'utf8'))).not.toThrow()
  }
  await using last = await start()
  expect(last.stderr()).not.toContain('can not be read')
  expect(tokens.size).toBe(1)
  const body = JSON.stringify({ model: 'keep', prompt: 'hello', stream: false })
  await until(
    async () => (await ask(`${last.url}/api/generate`, { method: 'POST', body })).status === 200,
  )
})

it('starts after a kill in the middle of a start, and with torn files, which it keeps aside and says so', async () => {
  using folder = scratchFolder()
  const env = { CHASQUI_DATA: folder.path }
  const port = await freePort()
  const args = ['up', '--listen', `127.0.0.1:${port}`]
  const random = dice(7)
  for (let round = 0; round < 4; round++) {
    const starting = startProcess(args, env)
    starting.catch(() => {})
    const pid = await startingPid(process.pid, args)
    await new Promise((resolve) => setTimeout(resolve, random() * 300))
    process.kill(pid, 'SIGKILL')
    await starting.then(
      (proxy) => proxy[Symbol.asyncDispose](),
      () => {},
    )
  }
  writeFileSync(join(folder.path, 'owed-deletes.json'), '{"a": ["half')
  writeFileSync(join(folder.path, 'owed-deletes.json.new'), '{"a"')
  mkdirSync(join(folder.path, 'spool', '999999999'), { recursive: true })
  writeFileSync(join(folder.path, 'spool', '999999999', 'half'), 'x')
  await using proxy = await startProcess(args, env)
  expect((await ask(`${proxy.url}/livez`)).status).toBe(200)
  await until(() => proxy.stderr().includes('owed deletions can not be read; it was put aside'))
  expect(readFileSync(join(folder.path, 'owed-deletes.json.unreadable'), 'utf8')).toBe(
    '{"a": ["half',
  )
  expect(existsSync(join(folder.path, 'spool', '999999999'))).toBe(false)
})

const filesIn = (path: string) => (existsSync(path) ? readdirSync(path).length : 0)

/** Names of models that can be deleted, each only once. */
function copies(prefix: string): string[] {
  return Array.from({ length: 2 * roundsMax }, (_, index) => `${prefix}-copy-${index}`)
}

/** A request whose large body never ends: it lies in a file when the process dies. */
function halfSent(url: string) {
  const call = request(url, {
    method: 'POST',
    agent: false,
    headers: { 'content-length': 1_000_000 },
  })
  call.on('error', () => {})
  call.write(`{"model": "keep", "prompt": "${'x'.repeat(100_000)}`)
  return call
}

/** The process that this one has just started with these arguments. */
async function startingPid(parent: number, args: readonly string[]): Promise<number> {
  let found: number | undefined
  await until(() => {
    const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
      .trim()
      .split(' ')
    found = children.map(Number).find((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(args.join('\0'))
      } catch {
        return false
      }
    })
    return found !== undefined
  })
  return found!
}

/** The same moments in every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
