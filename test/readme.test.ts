import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readConfig } from '../src/config/read.ts'
import { startProcess } from './help/processes.ts'
import { scratchFolder } from './help/scratch.ts'

const home = resolve(import.meta.dirname, '..')
const readme = readFileSync(join(home, 'README.md'), 'utf8')

function blocks(language: string): string[] {
  return [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter((match) => match[1] === language)
    .map((match) => match[2]!)
}

/** The commands of a block, without comments. */
function commands(block: string): string[] {
  return block.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
}

/** Runs a line of the README in a shell, as a person would paste it. */
async function shell(line: string, env: NodeJS.ProcessEnv): Promise<{ code: number; out: string }> {
  const child = spawn('sh', ['-c', line], {
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let out = ''
  child.stdout.on('data', (chunk) => (out += chunk))
  child.stderr.on('data', (chunk) => (out += chunk))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out }
}

const all = blocks('bash').flatMap(commands)
/** Every command of the README is one of these; a new kind needs a new case here. */
const kinds = {
  curl: all.filter((line) => line.startsWith('curl ')),
  cli: all.filter((line) => line.startsWith('npm run -s chasqui -- ')),
  start: all.filter((line) => line.startsWith('npm start')),
  /** Run by CI itself; from in here they would run the suite inside the suite. */
  whole: all.filter((line) => line === 'npm test' || line === 'npm run check'),
  env: all.filter((line) => line.startsWith('export ')),
}

describe('README.md', () => {
  it('has at most 200 lines, and no command of an unknown kind', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(200)
    expect(Object.values(kinds).flat().sort()).toEqual([...all].sort())
  })

  it('shows curl lines and commands that work', { timeout: 90_000 }, async () => {
    await using proxy = await startProcess(['demo', '--listen', '127.0.0.1:0'])
    const here = (line: string) =>
      line
        .replaceAll('http://127.0.0.1:11435', proxy.url)
        .replace('config validate', 'config validate --config config/examples/one.yaml')
    const env = {
      CHASQUI_LISTEN: proxy.url.replace('http://', ''),
      PATH: `${join(home, 'node_modules', '.bin')}${delimiter}${process.env['PATH']}`,
    }
    for (const line of kinds.curl) {
      const { code, out } = await shell(
        here(line).replace('curl ', 'curl -sS --fail-with-body --max-time 60 '),
        env,
      )
      expect({ line, code, out: code === 0 ? '' : out }).toEqual({ line, code: 0, out: '' })
      expect(out).not.toContain('"error"')
    }
    for (const line of kinds.cli) {
      const { code, out } = await shell(here(line), env)
      expect({ line, code, out: code === 0 ? '' : out }).toEqual({ line, code: 0, out: '' })
    }
  })

  it('shows npm start lines that serve', { timeout: 60_000 }, async () => {
    for (const line of kinds.start) {
      using folder = scratchFolder()
      const child = spawn('sh', ['-c', `exec ${line}`], {
        cwd: home,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          CHASQUI_LISTEN: '127.0.0.1:0',
          CHASQUI_DATA: folder.path,
          CHASQUI_LOG_LEVEL: 'silent',
        },
      })
      const ended = once(child, 'close')
      let out = ''
      const ready = new Promise<void>((resolve, reject) => {
        child.stdout.on('data', (chunk) => {
          out += chunk
          if (/^ready http/m.test(out)) resolve()
        })
        child.stderr.on('data', (chunk) => (out += chunk))
        void ended.then(() => reject(new Error(`${line} ended: ${out}`)))
      })
      await ready
      child.kill('SIGTERM')
      await ended
    }
  })

  it('shows a configuration that is valid', () => {
    for (const text of blocks('yaml')) {
      const read = readConfig(text, { fileName: 'README.md', env: {} })
      expect(read).toMatchObject({ ok: true })
    }
  })
})
