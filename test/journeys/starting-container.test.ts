import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { freePort } from '../help/ports.ts'
import { runCommand, startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

// There is no container engine in these tests: the image is not built. What its file says is read, and done by hand.
const home = resolve(import.meta.dirname, '../..')
const instructions = readFileSync(join(home, 'Dockerfile'), 'utf8')
  .replace(/^#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => /^(\w+) (.*)$/.exec(line)!)
  .map(([, word, rest]) => ({ word: word!, rest: rest!.replace(/ +/g, ' ') }))
const all = (word: string) =>
  instructions.filter((each) => each.word === word).map(({ rest }) => rest)
const list = (word: string) =>
  JSON.parse(
    all(word)
      .at(-1)!
      .replace(/^.*CMD /, ''),
  ) as string[]
const variables = Object.fromEntries(
  all('ENV').flatMap((rest) => rest.split(' ').map((pair) => pair.split('=') as [string, string])),
)
const workdir = all('WORKDIR')[0]!

/** A folder as the image would have it: the copied sources, the packages, and the one command. */
async function image(root: string): Promise<{ command: string; data: string }> {
  const inside = (path: string) => join(root, path)
  for (const rest of all('COPY')) {
    const words = rest.split(' ')
    const target = words.pop()!
    for (const source of words) {
      const to = source === target.replace(/^\.\//, '') ? target : join(target, source)
      mkdirSync(dirname(inside(join(workdir, to))), { recursive: true })
      cpSync(join(home, source), inside(join(workdir, to)), { recursive: true })
    }
  }
  symlinkSync(join(home, 'node_modules'), inside(join(workdir, 'node_modules')))
  mkdirSync(inside('/usr/local/bin'), { recursive: true })
  const [script] = all('RUN').filter((rest) => rest.startsWith('printf'))
  const [making, , ...folders] = script!.split(' && ')
  expect(folders).toEqual(['mkdir /data', 'chown node:node /data'])
  await promisify(execFile)('sh', [
    '-c',
    making!.replaceAll('/opt/', `${root}/opt/`).replace('/usr/', `${root}/usr/`),
  ])
  await promisify(execFile)('chmod', ['755', inside('/usr/local/bin/chasqui')])
  mkdirSync(inside('/data'))
  return { command: inside('/usr/local/bin/chasqui'), data: inside('/data') }
}

describe('the Dockerfile', () => {
  it('copies only what there is, and the ignore file lets it through', () => {
    const sources = all('COPY').flatMap((rest) => rest.split(' ').slice(0, -1))
    const allowed = readFileSync(join(home, '.dockerignore'), 'utf8').split('\n')
    expect(allowed).toContain('*')
    for (const source of sources) {
      expect([source, existsSync(join(home, source))]).toEqual([source, true])
      expect(allowed).toContain(`!${source}`)
    }
    for (const secret of ['.env', 'chasqui.yaml', '.git', 'node_modules'])
      expect(sources).not.toContain(secret)
  })

  it('is a slim Node 24, with production packages, not run as root', () => {
    expect(all('FROM')).toEqual(['node:24-slim'])
    expect(all('RUN')[0]).toMatch(/^npm ci --omit=dev\b/)
    expect(all('USER').at(-1)).toBe('node')
    const order = instructions.map(({ word }) => word)
    expect(order.lastIndexOf('RUN')).toBeLessThan(order.indexOf('USER'))
    expect(all('EXPOSE')).toEqual([variables['CHASQUI_LISTEN']!.split(':')[1]])
    expect(all('VOLUME')).toEqual([variables['CHASQUI_DATA']])
  })

  it('has all packages that the copied sources import among the production ones', () => {
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(home, 'package.json'), 'utf8'),
    ) as {
      dependencies: Record<string, string>
      optionalDependencies: Record<string, string>
    }
    const imported = ['src', 'backends'].flatMap((folder) =>
      readdirSync(join(home, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
        .flatMap((entry) => {
          const text = readFileSync(join(entry.parentPath, entry.name), 'utf8')
          return [...text.matchAll(/\bfrom '([^'.][^']*)'|import\('([^'.][^']*)'\)/g)].map(
            ([, first, second]) => first ?? second!,
          )
        }),
    )
    const packages = imported
      .filter((name) => !name.startsWith('node:') && !builtinModules.includes(name))
      .map((name) => /^(@[^/]+\/[^/]+|[^/]+)/.exec(name)![0])
    expect(packages.length).toBeGreaterThan(5)
    const there = { ...dependencies, ...optionalDependencies }
    expect([...new Set(packages)].filter((name) => !(name in there))).toEqual([])
  })

  it('has commands that run on what was copied: it serves, is healthy, and stops', async () => {
    using folder = scratchFolder()
    const { command, data } = await image(folder.path)
    const port = await freePort()
    expect(variables).toMatchObject({ CHASQUI_LISTEN: '0.0.0.0:11435', CHASQUI_DATA: '/data' })
    const env = {
      PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
      ...variables,
      CHASQUI_LISTEN: `0.0.0.0:${port}`,
      CHASQUI_DATA: data,
    }
    const [entry, ...before] = list('ENTRYPOINT')
    expect([entry, before]).toEqual(['chasqui', []])
    const child = spawn(command, list('CMD'), { cwd: join(folder.path, workdir), env })
    const exited = once(child, 'close')
    let out = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.resume()
    try {
      await until(() => out.includes('ready'), 30_000)
      expect(out).toBe(`ready http://127.0.0.1:${port}\n`)
      const [probe, ...args] = list('HEALTHCHECK')
      expect(probe).toBe('chasqui')
      await promisify(execFile)(command, args, { env })
      child.kill('SIGTERM')
      expect(await exited).toEqual([0, null])
      await expect(promisify(execFile)(command, args, { env })).rejects.toMatchObject({ code: 4 })
    } finally {
      child.kill('SIGKILL')
    }
  })
})

describe('an admin token of our own', () => {
  const wide = ['up', '--listen', '0.0.0.0:0']

  it('is made once, shown once, kept for us alone, and works', async () => {
    using folder = scratchFolder()
    const env = { CHASQUI_DATA: folder.path, CHASQUI_MAKE_ADMIN_TOKEN: '1' }
    const file = join(folder.path, 'admin-token')
    const drain = (url: string, token: string) =>
      fetch(`${url}/api/workers/nobody/drain`, {
        method: 'POST',
        // Who comes through another proxy is not at this machine.
        headers: { 'x-forwarded-for': '203.0.113.5', authorization: `Bearer ${token}` },
      })
    let token = ''
    {
      await using first = await startProcess(wide, env)
      token = readFileSync(file, 'utf8').trim()
      expect(token).toMatch(/^[\w-]{32}$/)
      expect(statSync(file).mode & 0o777).toBe(0o600)
      expect(first.stderr().split(token)).toHaveLength(2)
      expect(first.stdout()).not.toContain(token)
      expect(first.stderr()).not.toContain('without CHASQUI_ADMIN_TOKEN')
      expect((await drain(first.url, token)).status).toBe(404)
      expect((await drain(first.url, `${token}x`)).status).toBe(403)
    }
    await using second = await startProcess(wide, env)
    expect(second.stderr()).toContain(`the admin token is the one in ${file}`)
    expect(second.stderr()).not.toContain(token)
    expect((await drain(second.url, token)).status).toBe(404)
  })

  it('is not made where it is not needed: one is set, or nobody else can connect', async () => {
    using folder = scratchFolder()
    const env = { CHASQUI_DATA: folder.path }
    await using set = await startProcess([...wide, '--make-admin-token'], {
      ...env,
      CHASQUI_ADMIN_TOKEN: 'mine',
    })
    await using alone = await startProcess(
      ['up', '--listen', '127.0.0.1:0', '--make-admin-token'],
      env,
    )
    for (const each of [set, alone]) expect(each.stderr()).not.toContain('admin token')
    expect(readdirSync(folder.path)).not.toContain('admin-token')
  })

  it('is one sentence and exit 1 where it can not be kept', async () => {
    using folder = scratchFolder()
    const data = join(folder.path, 'package.json')
    cpSync(join(home, 'package.json'), data)
    const run = await runCommand([...wide, '--make-admin-token'], { CHASQUI_DATA: data })
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toMatch(/^chasqui: no admin token can be kept in .*\n$/)
  })
})
