import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { freePort } from '../help/ports.ts'
import { runCommand, startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const canaries = {
  header: 'canary-header-7c1f',
  user: 'canary-user-90ab',
  password: 'canary-password-55de',
  admin: 'canary-admin-31b8',
  key: 'canary-key-e4a2',
  prompt: 'canary-prompt-0f66',
  system: 'canary-system-8d13',
  file: 'canary-file-b7b7',
}
/** As they are, and as a login carries them. */
const written = [
  ...Object.values(canaries),
  Buffer.from(`${canaries.user}:${canaries.password}`).toString('base64'),
]

const hitsIn = (text: string) => written.filter((canary) => text.includes(canary))

describe('secrets and prompts', () => {
  it('are in nothing that is printed, logged, measured, shown or left on the disk', async () => {
    using folder = scratchFolder()
    await using simulator = await startSimulator({ models: ['llama3.2'] })
    const away = await freePort()
    const config = join(folder.path, 'fleet.yaml')
    writeFileSync(
      config,
      `
log: {level: debug, format: json}
limits: {body_in_memory_max: 1KiB}
probes: {interval: 500ms, timeout: 490ms}
backends:
  - name: den
    url: ${simulator.url.replace('//', `//${canaries.user}:${canaries.password}@`)}
    headers: {X-Secret: "\${SECRET_OF_DEN}", X-Plain: ${canaries.file}}
  - name: gone
    url: http://${canaries.user}:${canaries.password}@127.0.0.1:${away}
`,
    )
    const env = {
      CHASQUI_CONFIG: config,
      CHASQUI_ADMIN_TOKEN: canaries.admin,
      CHASQUI_DATA: join(folder.path, 'data'),
      SECRET_OF_DEN: canaries.header,
    }
    await using proxy = await startProcess(['up', '--listen', '127.0.0.1:0'], env)

    await until(async () => (await fetch(`${proxy.url}/readyz`)).ok, 30_000)

    const login = { authorization: `Bearer ${canaries.key}`, 'x-api-key': canaries.key }
    const messages = [
      { role: 'system', content: canaries.system },
      { role: 'user', content: `${canaries.prompt} ${'and so on '.repeat(300)}` },
    ]
    const ask = async (path: string, body: unknown) => {
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      const answer = await fetch(proxy.url + path, { method: 'POST', headers: login, body: text })
      return [answer.status, await answer.text()] as const
    }
    const model = 'llama3.2'
    expect((await ask('/api/chat', { model, messages }))[0]).toBe(200)
    expect((await ask('/v1/chat/completions', { model, messages }))[0]).toBe(200)
    expect(
      (await ask('/v1/messages', { model, messages: messages.slice(1), max_tokens: 5 }))[0],
    ).toBe(200)
    expect((await ask('/generate', { model, prompt: canaries.prompt }))[0]).toBe(200)
    expect((await ask('/generate', { model, prompt: canaries.prompt, zebra: 1 }))[0]).toBe(400)
    expect((await ask('/generate', `{"model": "llama3.2", "prompt": ${canaries.prompt}`))[0]).toBe(
      400,
    )
    expect((await ask('/api/chat', { model: 'nobody-has-this', messages }))[0]).toBe(404)
    simulator.faults.add({ kind: 'reset', count: 10 })
    expect((await ask('/api/chat', { model, messages }))[0]).toBeGreaterThanOrEqual(500)
    simulator.faults.clear()
    // The backend did get what it is meant to get.
    const seen = simulator.trace().flatMap(({ headers }) => headers.map(([, value]) => value))
    expect(seen).toContain(canaries.header)
    expect(seen.join()).not.toContain(canaries.key)
    expect(seen.join()).not.toContain(canaries.admin)

    const listen = { ...env, CHASQUI_LISTEN: proxy.url.replace('http://', '') }
    const commands = await Promise.all(
      [['config', 'print'], ['status'], ['status', '--json'], ['backend', 'drain', 'gone']].map(
        (args) => runCommand(args, listen),
      ),
    )
    for (const { code, stdout } of commands) expect([code, stdout]).toEqual([0, expect.any(String)])
    expect(commands[0]!.stdout).toContain('admin_token: "***"')
    const pages = await Promise.all(
      ['/queue-status', '/metrics', '/health', '/ui', '/api/ps', '/readyz'].map(
        async (path): Promise<[string, string]> => [
          path,
          await (await fetch(proxy.url + path)).text(),
        ],
      ),
    )
    await until(() => proxy.stderr().includes('"status":200'))
    proxy.kill('SIGTERM')
    expect(await proxy.exited()).toBe(0)

    const found = Object.entries({
      stdout: proxy.stdout(),
      stderr: proxy.stderr(),
      ...Object.fromEntries(pages),
      ...Object.fromEntries(
        commands.map(({ stdout, stderr }, n) => [`command ${n}`, stdout + stderr]),
      ),
      disk: textsUnder(join(folder.path, 'data')),
    }).flatMap(([where, text]) => hitsIn(text).map((canary) => `${where}: ${canary}`))
    expect(found).toEqual([])
    expect(proxy.stderr()).toContain('"op":"chat"')
  })

  it('are in no complaint about a configuration', async () => {
    using folder = scratchFolder()
    const config = join(folder.path, 'bad.yaml')
    writeFileSync(
      config,
      `
admin_tokn: ${canaries.admin}
backends:
  - url: htp://${canaries.user}:${canaries.password}@box
    headers: {X-Secret: [${canaries.header}]}
  - url: ${canaries.user}:${canaries.password}@box:1
`,
    )
    const env = { CHASQUI_LISTEN: canaries.key, CHASQUI_ADMIN_TOKEN: `${canaries.admin} x` }
    const run = await runCommand(['up', '--config', config], env)
    expect(run.code).toBe(3)
    expect(hitsIn(run.stderr).filter((canary) => canary !== canaries.key)).toEqual([])
  })
})

function textsUnder(folder: string): string {
  mkdirSync(folder, { recursive: true })
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
}
