import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { freePort, takenPort, takesConnections } from '../help/ports.ts'
import { runCommand } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

interface Run {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
  /** Whether anybody could connect while it ran. */
  readonly opened: boolean
}

/** Starts the proxy with this configuration and knocks at its port until it has ended. */
async function start(
  yaml: string | undefined,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Run & { port: number }> {
  using folder = scratchFolder()
  const port = await freePort()
  if (yaml !== undefined)
    writeFileSync(join(folder.path, 'chasqui.yaml'), yaml.replaceAll('PORT', String(port)))
  let over = false
  const running = runCommand(
    ['up', ...args.map((each) => each.replaceAll('PORT', String(port)))],
    { CHASQUI_LISTEN: `127.0.0.1:${port}`, ...env },
    folder.path,
  )
  void running.finally(() => (over = true))
  let opened = false
  while (!over) {
    opened ||= await takesConnections(port)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { ...(await running), opened, port }
}

const wrong: readonly (readonly [
  name: string,
  yaml: string | undefined,
  args: readonly string[],
  said: readonly (string | RegExp)[],
])[] = [
  ['is missing', undefined, ['--config', 'no.yaml'], ['no.yaml', 'does not exist', '--config']],
  [
    'is half written',
    'queue: {max: 5}\nbackends:\n  - url: "http://127.0.0.1:1\n',
    [],
    ['chasqui.yaml:3:10', 'not closed'],
  ],
  [
    'has everything wrong at once',
    [
      'lisen: 127.0.0.1:1',
      'queue: {max: 100001, timeout: 30}',
      'probes: {interval: 1s, timeout: 2s}',
      'backends:',
      '  - {url: "127.0.0.1:11434", slots: 0}',
      `  - {url: "http://127.0.0.1:5", headers: {X-Key: "\${NOT_SET_HERE}"}}`,
      '  - {url: "http://127.0.0.1:5"}',
      '  - {url: "http://localhost:PORT", wieght: 2}',
      '  - {url: "http://0.0.0.0:PORT"}',
    ].join('\n'),
    [],
    [
      /chasqui\.yaml:1:1.*lisen/,
      'did you mean "listen"',
      /chasqui\.yaml:2:.*queue\.max/,
      /chasqui\.yaml:2:.*queue\.timeout/,
      /chasqui\.yaml:3:.*below probes\.interval/,
      /chasqui\.yaml:5:.*must start with http/,
      'write "http://127.0.0.1:11434"',
      /chasqui\.yaml:5:.*slots/,
      /chasqui\.yaml:6:.*NOT_SET_HERE, which is not set/,
      /chasqui\.yaml:7:.*same server as backends\[1\]/,
      /chasqui\.yaml:8:.*where this proxy itself listens/,
      'did you mean "weight"',
      /chasqui\.yaml:9:.*where this proxy itself listens/,
    ],
  ],
  [
    'is wrong on the command line',
    undefined,
    [
      ...['--backend', 'localhost:1', '--backend', 'htps://box:1', '--backend', 'http://box:0'],
      ...['--backend', 'http://127.0.0.1:PORT,slot=2'],
    ],
    ['write "http://localhost:1"', 'did you mean "https://', 'out of range', 'unknown option'],
  ],
]

describe('a configuration that cannot be used', () => {
  it.each(wrong)('%s: exit 3, all said on stderr, no port opened', async (_n, yaml, args, said) => {
    const run = await start(yaml, args)
    for (const words of said) expect(run.stderr).toMatch(words)
    expect(run).toMatchObject({ code: 3, stdout: '', opened: false })
    expect(run.stderr).not.toMatch(/^\s+at .*\.ts/m)
    // One fault, one sentence.
    const places = [...run.stderr.matchAll(/^chasqui\.yaml:\d+:\d+: \S+/gm)].map(String)
    expect(places).toEqual([...new Set(places)])
  })

  it('names a variable that is no switch and no number', async () => {
    const run = await start(undefined, [], { CHASQUI_DEMO: 'maybe', CHASQUI_QUEUE_MAX: 'many' })
    expect(run).toMatchObject({ code: 3, stdout: '', opened: false })
    expect(run.stderr).toContain('CHASQUI_DEMO must be 1 or 0')
    expect(run.stderr).toContain('CHASQUI_QUEUE_MAX')
  })

  it('says the same to "config validate", and nothing but "ok" when it is mended', async () => {
    using folder = scratchFolder()
    const file = join(folder.path, 'a.yaml')
    writeFileSync(file, 'queue: {maxx: 1}\n')
    const bad = await runCommand(['config', 'validate', '--config', file])
    expect(bad).toMatchObject({ code: 3, stdout: '' })
    expect(bad.stderr).toContain('did you mean "max"')
    writeFileSync(file, 'queue: {max: 1}\n')
    const good = await runCommand(['config', 'validate', '--config', file])
    expect(good).toEqual({ code: 0, stdout: `ok: ${file}\n`, stderr: '' })
  })
})

describe('an address that cannot be listened on', () => {
  it('a taken port is one sentence and exit 1, with the demo as well', async () => {
    await using taken = await takenPort()
    const listen = ['--listen', `127.0.0.1:${taken.port}`]
    const silent = { CHASQUI_LOG_LEVEL: 'silent' }
    for (const args of [['up', '--backend', 'http://127.0.0.1:1'], ['demo']]) {
      const run = await runCommand([...args, ...listen], silent)
      expect(run).toEqual({
        code: 1,
        stdout: '',
        stderr: `chasqui: port ${taken.port} on 127.0.0.1 is taken; stop what listens there, or choose another with --listen 127.0.0.1:PORT\n`,
      })
    }
  })

  it('an address of another machine is one sentence and exit 1', async () => {
    const run = await runCommand(['up', '--listen', '192.0.2.1:11435'])
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toMatch(/^chasqui: 192\.0\.2\.1 is no address of this machine.*\n$/)
  })
})
