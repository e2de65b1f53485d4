import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { settingVariables } from '../../src/config/environment.ts'
import { type ConfigOptions, loadSettings } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'
import type { Env } from './help.ts'

let cwd = ''
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'chasqui-config-'))
})
afterEach(() => rm(cwd, { recursive: true, force: true }))

const write = (text: string, name = 'chasqui.yaml') => writeFile(join(cwd, name), text)
const load = (options: ConfigOptions = {}, env: Env = {}) => loadSettings({ options, env, cwd })

async function refusal(options: ConfigOptions = {}, env: Env = {}): Promise<ConfigError> {
  const thrown: unknown = await load(options, env).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (thrown instanceof ConfigError) return thrown
  throw new Error('was accepted')
}

describe('loadSettings', () => {
  it('needs no file', async () => {
    const { settings, warnings, origin } = await load()
    expect(settings.listen.port).toBe(11435)
    expect(warnings).toEqual([])
    expect(origin).toBe('no file')
  })

  it('takes a flag before a variable, a variable before the file, the file before the default', async () => {
    await write('listen: 127.0.0.1:1\nqueue: {max: 1, timeout: 1s}\nlog: {level: debug}\n')
    const env = { CHASQUI_LISTEN: '127.0.0.1:2', CHASQUI_QUEUE_MAX: '2' }
    const { settings, origin } = await load({ listen: '127.0.0.1:3' }, env)
    expect(settings.listen.port).toBe(3)
    expect(settings.queue).toMatchObject({ waitingMax: 2, waitMsMax: 1_000 })
    expect(settings.log).toEqual({ level: 'debug', format: 'auto' })
    expect(origin).toBe('chasqui.yaml')
  })

  it('reads the file that --config names, else CHASQUI_CONFIG, else chasqui.yaml', async () => {
    await write('queue: {max: 1}')
    await write('queue: {max: 2}', 'b.yaml')
    await write('queue: {max: 3}', 'c.yaml')
    const max = async (options: ConfigOptions, env: Env) =>
      (await load(options, env)).settings.queue.waitingMax
    expect(await max({}, {})).toBe(1)
    expect(await max({}, { CHASQUI_CONFIG: 'b.yaml' })).toBe(2)
    expect(await max({ config: join(cwd, 'c.yaml') }, { CHASQUI_CONFIG: 'b.yaml' })).toBe(3)
  })

  it('accepts an empty file', async () => {
    await write('')
    expect((await load({ config: 'chasqui.yaml' })).origin).toBe('chasqui.yaml')
  })

  it('says which named file is missing, a directory, or no text', async () => {
    expect((await refusal({ config: 'no.yaml' })).report).toBe(
      'no.yaml: the file does not exist\n  hint: it is named by --config',
    )
    await mkdir(join(cwd, 'dir'))
    expect((await refusal({}, { CHASQUI_CONFIG: 'dir' })).report).toContain('is a directory')
    await writeFile(join(cwd, 'x'), Buffer.from([0xff, 0xfe, 0x00]))
    expect((await refusal({ config: 'x' })).report).toContain('UTF-8')
    await writeFile(join(cwd, 'large'), Buffer.alloc(2 ** 20 + 1, 35))
    expect((await refusal({ config: 'large' })).report).toContain('larger than')
  })

  it('reports a half-written file with its line', async () => {
    await write('listen: 127.0.0.1:1\nbackends: [{url: "http://a:1"')
    expect((await refusal()).report).toContain('chasqui.yaml:2:')
  })

  it('reads backends from flags, which replace those of the variable and of the file', async () => {
    await write('backends: [{url: "http://file:1"}]')
    const env = { CHASQUI_BACKENDS: 'http://env:1, http://env:2', CHASQUI_SLOTS: '2' }
    const backends = async (options: ConfigOptions, withEnv: Env) =>
      (await load(options, withEnv)).settings.backends.map(({ name, slots }) => [name, slots])
    expect(await backends({}, {})).toEqual([['file-1', undefined]])
    expect(await backends({}, env)).toEqual([
      ['env-1', 2],
      ['env-2', 2],
    ])
    const flags = ['http://flag:1,name=den,slots=5', 'http://flag:2']
    expect(await backends({ backends: flags, slots: 3 }, env)).toEqual([
      ['den', 5],
      ['flag-2', 3],
    ])
  })

  it('gives slots only to backends without their own', async () => {
    await write('backends: [{url: "http://a:1", slots: {m: 4}}, {url: "http://b:1"}]')
    const { settings } = await load({}, { CHASQUI_SLOTS: '2' })
    expect(settings.backends.map(({ slots }) => slots)).toEqual([new Map([['m:latest', 4]]), 2])
  })

  it('names the flag or the variable that is wrong, all at once', async () => {
    await write('forward_unknown: maybe')
    const { problems } = await refusal(
      { listen: 'x', backends: ['box,slots=0', 'name=a'], slots: 0 },
      { CHASQUI_QUEUE_MAX: 'lots', CHASQUI_PROBES_INTERVAL: '5' },
    )
    expect(problems.map(({ file, path }) => `${file} ${path}`).sort()).toEqual([
      'chasqui.yaml forward_unknown',
      'command line --backend',
      'command line --backend',
      'command line --backend',
      'command line --listen',
      'command line --slots',
      'environment CHASQUI_PROBES_INTERVAL',
      'environment CHASQUI_QUEUE_MAX',
    ])
  })

  it('never reads OLLAMA_HOST', async () => {
    const { settings } = await load({}, { OLLAMA_HOST: 'http://127.0.0.1:11435' })
    expect(settings.backends).toEqual([])
  })

  it('warns of variables that are no setting, without their values', async () => {
    const { warnings } = await load(
      {},
      {
        CHASQUI_QEUE_MAX: '5',
        CHASQUI_DEMO: '1',
        CHASQUI_DATABASE_URL: 'x',
        CHASQUI_PORT_11435_TCP: 'tcp://10.0.0.1:11435',
        CHASQUI_SERVICE_HOST: '10.0.0.1',
        CHASQUI_ZZZZZZZZ: 'hush',
      },
    )
    expect(warnings).toEqual([
      'CHASQUI_QEUE_MAX is no setting and was ignored; did you mean CHASQUI_QUEUE_MAX?',
      'CHASQUI_ZZZZZZZZ is no setting and was ignored',
    ])
  })

  it('takes an empty variable for one that is not set', async () => {
    const { settings } = await load(
      {},
      { CHASQUI_LISTEN: '', CHASQUI_BACKENDS: '', CHASQUI_SLOTS: '', CHASQUI_CONFIG: '' },
    )
    expect(settings.listen.port).toBe(11435)
  })

  it('reads switches and lists from variables', async () => {
    const { settings } = await load(
      {},
      {
        CHASQUI_FORWARD_UNKNOWN: '1',
        CHASQUI_ROUTING_LOAD_RESCUE: 'off',
        CHASQUI_TENANTS_TRUSTED_FROM: '10.0.0.0/8, ::1',
        CHASQUI_TIMEOUTS_IDLE: '5s',
        CHASQUI_ADMIN_TOKEN: '12345',
      },
    )
    expect(settings).toMatchObject({
      forwardUnknown: true,
      routing: { loadRescue: false },
      tenants: { trustedFrom: ['10.0.0.0/8', '::1'] },
      timeouts: { idleMs: 5_000 },
      adminToken: '12345',
    })
  })

  it('has one variable for each key', () => {
    const names = [...settingVariables().keys()]
    expect(new Set(names).size).toBe(names.length)
    expect(names).toContain('CHASQUI_QUEUE_PRIORITY_ACROSS_TENANTS')
    expect(names).toContain('CHASQUI_DATA')
    expect(names).not.toContain('CHASQUI_BACKENDS')
  })

  it('puts the data where it was told, or into the state directory', async () => {
    const dir = async (env: Env) => (await load({}, env)).settings.dataDir
    expect(await dir({ CHASQUI_DATA: 'state' })).toBe(join(cwd, 'state'))
    expect(await dir({ CHASQUI_DATA: '~/x', HOME: '/home/a' })).toBe('/home/a/x')
  })
})
