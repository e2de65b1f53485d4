import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { combinerNames } from '../../src/split/combine/combiner.ts'
import { splitterNames } from '../../src/split/cut/splitter.ts'
import type { Fleet } from '../help/fleet.ts'
import { freePort } from '../help/ports.ts'
import { startProxyProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { warmFleet } from '../help/warm-fleet.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** Gives a command a terminal of its own; most systems have it. */
const terminalMaker = 'script'

const program = fileURLToPath(new URL('../../src/main.mjs', import.meta.url))

interface Ran {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ran>
  readonly stderr: () => string
}

function start(args: readonly string[], cwd: string, stdin = ''): Running {
  const env = { PATH: process.env['PATH'] }
  const child = spawn(process.execPath, [program, 'split', ...args], { cwd, env })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // Who refuses before it reads leaves its pipe unread.
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: (code ?? signal) as number | string,
    stdout,
    stderr,
  }))
  return { child, ended, stderr: () => stderr }
}

const list = (lines: number) => Array.from({ length: lines }, (_, at) => `item ${at}\n`).join('')

/** Requests that a server has had since its trace was cleared, and that ask a model something. */
const inferred = (fleet: Fleet) =>
  fleet.simulators.flatMap((each) => each.trace().filter(({ route }) => route === '/api/generate'))

describe('chasqui split', () => {
  let fleet: Fleet
  let folder: ReturnType<typeof scratchFolder>
  beforeAll(async () => {
    fleet = await warmFleet({
      simulators: ['a', 'b'].map((name) => ({ name, answerTokens: 12, models: ['llama3.2'] })),
    })
    folder = scratchFolder()
    writeFileSync(join(folder.path, 'list.txt'), list(40))
    writeFileSync(join(folder.path, 'other.md'), '# One\n\ntext\n\n# Two\n\ntext\n')
    writeFileSync(join(folder.path, 'empty.txt'), ' \n')
    writeFileSync(join(folder.path, 'binary.txt'), Buffer.from([104, 0, 105]))
    writeFileSync(join(folder.path, 'latin.txt'), Buffer.from([104, 0xe9, 105]))
    writeFileSync(join(folder.path, 'wide.txt'), Buffer.from('\ufeffhello', 'utf16le'))
    mkdirSync(join(folder.path, 'folder'))
  })
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })
  beforeEach(() => {
    for (const each of fleet.simulators) each.clearTrace()
  })

  const run = (args: readonly string[], stdin = '') =>
    start([...args, '--url', fleet.url], folder.path, stdin).ended
  const byLines = ['--model', 'llama3.2', '--by', 'lines', '--size', '10', '--ask', 'Why?']

  it('puts the answer on stdout, as the proxy gives it, and says on stderr how it goes', async () => {
    const { code, stdout, stderr } = await run(['list.txt', ...byLines])
    const body = {
      model: 'llama3.2',
      input: list(40),
      instruction: 'Why?',
      split: { by: 'lines', size: 10 },
    }
    const whole = await fetch(`${fleet.url}/generate`, {
      method: 'POST',
      body: JSON.stringify(body),
    })
    const { response } = (await whole.json()) as { response: string }
    expect([code, stdout]).toEqual([0, response.endsWith('\n') ? response : `${response}\n`])
    const lines = stderr.trimEnd().split('\n')
    expect(lines[0]).toBe('planned 4 parts by lines')
    expect(
      lines.filter((line) => / answered by [ab] in \d\.\d s \(\d\/4\)$/.test(line)),
    ).toHaveLength(4)
    expect(lines.at(-1)).toMatch(
      /^4 parts in \d\.\d s, \d\.\d× as fast as one by one.*: .*\b[ab] \d/,
    )
    expect(stderr).not.toContain('\x1b')
  })

  it('reads what is piped, by name or because there is no name', async () => {
    for (const names of [[], ['-']]) {
      const { code, stdout } = await run([...names, ...byLines, '--json', '--quiet'], list(20))
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({
        file: 'stdin',
        model: 'llama3.2',
        done: true,
        response: expect.stringMatching(/\w/),
        split: { parts: 2, by: 'lines', failed: [] },
      })
    }
  })

  it('asks about several files one after another, each answer under the name of its file', async () => {
    const { code, stdout, stderr } = await run([
      'list.txt',
      'other.md',
      '--model',
      'llama3.2',
      '--ask',
      'Why?',
    ])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^=== list\.txt ===\n[\s\S]+\n\n=== other\.md ===\n[\s\S]+\n$/)
    expect(stderr).toMatch(/^list\.txt, \d+ B \(1 of 2\)\nplanned/)
    expect(stderr).toContain('by markdown')
    const json = await run(['list.txt', 'other.md', '--model', 'llama3.2', '--json', '--quiet'])
    const files = json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).file)
    expect(files).toEqual(['list.txt', 'other.md'])
    expect(json.stderr).toBe('')
  })

  it('--dry-run shows the plan and asks no backend', async () => {
    const { code, stdout, stderr } = await run(['list.txt', ...byLines, '--dry-run'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^part 1 +\d+ tokens {2}lines 1-10\n/)
    expect(stdout).toMatch(/\na {2}\d+ seats? {2}context \d+ {2}.*\nb {2}/)
    expect(stdout).toMatch(
      /\n4 parts by lines, about \d+ tokens, combined by concat; nothing was sent\n$/,
    )
    const json = await run(['list.txt', ...byLines, '--dry-run', '--json'])
    expect(JSON.parse(json.stdout)).toMatchObject({ file: 'list.txt', by: 'lines' })
    expect(inferred(fleet)).toEqual([])
  })

  it('loses nothing of what a slow pipe has not taken yet', async () => {
    const args = ['-', '--model', 'llama3.2', '--by', 'lines', '--size', '1', '--dry-run']
    const { child, ended } = start([...args, '--url', fleet.url], folder.path, list(20_000))
    child.stdout?.pause()
    await until(() => child.stdout!.readableLength > 0, 30_000)
    await new Promise((resolve) => setTimeout(resolve, 300))
    child.stdout?.resume()
    const { code, stdout } = await ended
    expect(code).toBe(0)
    expect(stdout.split('\n')).toHaveLength(20_000 + 2 + 1 + 1)
  })

  it('--output takes the place of what was in the file, and not before there is an answer', async () => {
    const output = join(folder.path, 'answer.txt')
    writeFileSync(output, 'older\n'.repeat(1_000))
    expect(await run(['list.txt', '--model', 'nope', '-o', output])).toMatchObject({ code: 5 })
    expect(readFileSync(output, 'utf8')).toMatch(/^older\n/)
    const { code, stdout } = await run(['list.txt', ...byLines, '-o', output])
    expect([code, stdout]).toEqual([0, ''])
    expect(readFileSync(output, 'utf8')).not.toContain('older')
    const same = await run(['list.txt', ...byLines, '-o', './list.txt'])
    expect(same).toMatchObject({ code: 2, stderr: expect.stringContaining('is the file that is') })
    expect(readFileSync(join(folder.path, 'list.txt'), 'utf8')).toBe(list(40))
  })

  it.each([
    ['missing.txt', 'chasqui: there is no file missing.txt\n'],
    ['list.txt/x', 'chasqui: there is no file list.txt/x\n'],
    ['folder', 'chasqui: folder is a directory\n'],
    ['empty.txt', 'chasqui: empty.txt is empty\n'],
    ['binary.txt', 'chasqui: binary.txt is binary\n'],
    ['latin.txt', 'chasqui: latin.txt is not UTF-8\n'],
    [
      'wide.txt',
      'chasqui: wide.txt is UTF-16, not UTF-8\n  fix: iconv -f UTF-16 -t UTF-8 wide.txt\n',
    ],
    ['-', 'chasqui: stdin is empty\n'],
  ])('%s: exit 2 before anything is sent', async (name, said) => {
    const { code, stdout, stderr } = await run(['list.txt', name, ...byLines])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(said)
    expect(inferred(fleet)).toEqual([])
  })

  it.each([
    [[], 2, 'chasqui: no model was named\n  fix: --model NAME, one of: llama3.2:latest\n'],
    [['--model', 'nope'], 5, "chasqui: model 'nope' not found\n  fix: Pull the model"],
    [['--model', 'llama3.2', '--by', 'lnes'], 2, 'did you mean "lines"?'],
    [['--model', 'llama3.2', '--by', 'lines', '--timeout', 'soon'], 2, '"timeout" must be'],
    [['--model', 'llama3.2', '--priority', 'high'], 2, 'Allowed choices are interactive'],
    [['--model', 'llama3.2', '--size', 'many'], 2, 'a whole number from 1 on'],
    [['--model', 'llama3.2', '--overlap', '-1'], 2, 'a whole number from 1 on'],
    [['--modle', 'llama3.2'], 2, 'Did you mean --model?'],
    [['--model', 'llama3.2', '--url', 'http://:nonsense'], 2, 'is no URL'],
  ])('%j: exit %i and a sentence', async (args, code, said) => {
    const ran = await start(['list.txt', '--url', fleet.url, ...args], folder.path).ended
    expect([ran.code, ran.stdout]).toEqual([code, ''])
    expect(ran.stderr).toContain(said)
    expect(ran.stderr).not.toMatch(/^\s+at /m)
  })

  it('marks what failed and says what: exit 6 with partial, exit 1 without', async () => {
    // One machine: which of several gets a part is routing's to say, and one that may fail was not asked at all.
    await using only = await warmFleet({
      simulators: [{ name: 'a', answerTokens: 12, models: ['llama3.2'] }],
    })
    const ask = (args: readonly string[]) => start([...args, '--url', only.url], folder.path).ended
    const fails = () => {
      const { faults } = only.simulators[0]!
      faults.clear()
      faults.add({ kind: 'status', status: 400, text: 'no, thanks', count: 1 })
    }
    fails()
    const partial = await ask(['list.txt', ...byLines, '--on-error', 'partial'])
    expect(partial.code).toBe(6)
    expect(partial.stdout).toMatch(/^\[.*part \d of 4.*\]$/m)
    expect(partial.stderr).toMatch(/^part \d failed at a \(\d\/4\)$/m)
    expect(partial.stderr).toMatch(
      /1 part failed and is marked in the answer:\n {2}part \d \(lines \d+-\d+\): no, thanks\n$/,
    )
    fails()
    const quiet = await ask(['list.txt', ...byLines, '--on-error', 'partial', '--quiet', '--json'])
    expect(quiet).toMatchObject({ code: 6, stderr: expect.stringMatching(/^1 part failed/) })
    expect(JSON.parse(quiet.stdout).split.failed).toHaveLength(1)
    fails()
    const whole = await ask(['list.txt', ...byLines, '--json'])
    expect(whole.code).toBe(1)
    expect(whole.stderr).toMatch(
      /chasqui: part \d of 4 \(lines \d+-\d+\) failed: no, thanks\n {2}\d of 4 parts (was|were) answered\n {2}fix: /,
    )
    expect(JSON.parse(whole.stdout)).toMatchObject({ file: 'list.txt', code: 'request_invalid' })
    fails()
    // One file fails, the other is answered: something is missing from the whole.
    const two = await ask(['list.txt', 'list.txt', ...byLines, '--quiet'])
    expect(two).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(/^chasqui: list\.txt: part/),
    })
  })

  it('help names every way to cut and to combine', async () => {
    const { code, stdout } = await start(['--help'], folder.path).ended
    expect(code).toBe(0)
    for (const name of [...splitterNames, ...combinerNames]) expect(stdout).toContain(name)
  })

  it('is exit 4 where nothing answers, and 1 where something else does', async () => {
    const nobody = `127.0.0.1:${await freePort()}`
    const args = ['list.txt', ...byLines, '--url']
    expect(await start([...args, nobody], folder.path).ended).toEqual({
      code: 4,
      stdout: '',
      stderr: `chasqui: nothing answers at http://${nobody}; is it running? (chasqui up, or --url)\n`,
    })
    const other = await start([...args, fleet.simulators[0]!.url], folder.path).ended
    expect(other).toMatchObject({ code: 1, stderr: expect.stringMatching(/is no Chasqui\n$/) })
    const closing = createServer((request) => request.socket.destroy()).listen(0, '127.0.0.1')
    await once(closing, 'listening')
    const { port } = closing.address() as { port: number }
    const broken = await start([...args, `127.0.0.1:${port}`], folder.path).ended
    closing.close()
    expect(broken).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^chasqui: the proxy broke off before the answer was complete/),
    })
  })

  // What a person at a terminal sees; the drawing itself has tests without one.
  it.skipIf(spawnSync(terminalMaker, ['--version']).status !== 0)(
    'draws lanes on a terminal, and the answer is whole above them',
    async () => {
      const command = [
        process.execPath,
        program,
        'split',
        'list.txt',
        ...byLines,
        '--url',
        fleet.url,
      ]
      const quoted = command.map((word) => `'${word}'`).join(' ')
      const child = spawn(terminalMaker, ['-qec', `stty cols 90 rows 20; ${quoted}`, '/dev/null'], {
        cwd: folder.path,
        env: { PATH: process.env['PATH'], TERM: 'xterm', NO_COLOR: '1' },
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      let seen = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        seen += text
      })
      const [code] = await once(child, 'close')
      expect(code).toBe(0)
      const plain = await run(['list.txt', ...byLines, '--quiet'])
      expect(seen).toContain('list.txt, 310 B → 4 parts by lines')
      expect(seen).toContain('Ctrl-C stops it')
      expect(seen).not.toMatch(/\x1b\[\d+m/)
      expect(shownOn(seen).join('\n')).toContain(plain.stdout.trimEnd())
      expect(shownOn(seen).join('\n')).not.toContain('Ctrl-C')
    },
  )
})

/** The lines that a terminal shows in the end; knows what the screen writes, and nothing else. */
function shownOn(seen: string): string[] {
  const rows = ['']
  let [row, column] = [0, 0]
  for (const [text, , count, move] of seen.matchAll(
    /(\x1b\[\??(\d*)([A-Za-z]))|\r|\n|[^\x1b\r\n]+/g,
  )) {
    if (move === 'A') row -= Number(count)
    else if (move === 'K') rows[row] = ''
    else if (move === 'J') rows.splice(row, Number.POSITIVE_INFINITY, '')
    else if (text === '\r') column = 0
    else if (text === '\n') {
      row++
      column = 0
      rows[row] ??= ''
    } else if (move === undefined) {
      rows[row] = rows[row]!.slice(0, column).padEnd(column) + text
      column += text.length
    }
  }
  return rows
}

describe('a run that does not come to its end', () => {
  const slow = { answerTokens: 400, decodeTokensPerSecond: 60, models: ['llama3.2'], slots: 1 }
  const args = ['-', '--model', 'llama3.2', '--by', 'lines', '--size', '2', '--url']

  it('Ctrl-C: exit 130, what was done is said, and the backends are idle at once', async () => {
    await using fleet = await warmFleet({
      simulators: [slow, { ...slow, decodeTokensPerSecond: 2_000 }],
    })
    const { child, ended, stderr } = start([...args, fleet.url], process.cwd(), list(80))
    await until(() => stderr().includes('(1/40)'), 30_000)
    child.kill('SIGINT')
    const { code, stderr: said } = await ended
    expect(code).toBe(130)
    expect(said).toMatch(
      /chasqui: stopped; \d+ of 40 parts (was|were) answered, the others are cancelled\n$/,
    )
    await until(() => fleet.simulators.every((each) => each.stats().openRequests === 0), 5_000)
    const before = inferred(fleet).length
    expect(before).toBeLessThan(40)
    expect(inferred(fleet).some(({ cancelReason }) => cancelReason !== undefined)).toBe(true)
  })

  it('is out of time: exit 7', async () => {
    await using fleet = await warmFleet({ simulators: [slow] })
    const ran = await start([...args, fleet.url, '--timeout', '500ms'], process.cwd(), list(80))
      .ended
    expect(ran).toMatchObject({ code: 7, stderr: expect.stringContaining('in time') })
  })

  it('the proxy dies in the middle: exit 1 and a sentence', async () => {
    await using fleet = await warmFleet({ simulators: [slow] })
    await using proxy = await startProxyProcess([`${fleet.simulators[0]!.url},name=a,slots=1`])
    const health = async () => await (await fetch(`${proxy.url}/health`)).text()
    await until(async () => (await health()).includes('"ok"'), 30_000)
    const { ended, stderr } = start([...args, proxy.url], process.cwd(), list(20))
    await until(() => stderr().includes('planned 10 parts'), 30_000)
    proxy.kill('SIGKILL')
    expect(await ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        'chasqui: the proxy broke off before the answer was complete\n  0 of 10 parts were answered\n  fix: ',
      ),
    })
  })
})
