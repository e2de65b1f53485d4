import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { joinKey } from '../../src/guard/signing.ts'
import { startFakeProxy } from '../agent/help.ts'
import { isThere } from '../help/is-there.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { freePort } from '../help/ports.ts'
import { startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

const home = join(fileURLToPath(import.meta.url), '..', '..', '..')
const token = 'a-shared-token-of-this-test'
const chat = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }

/** A program that is called like Ollama and notes how: `ollama serve` is a simulator at the address of OLLAMA_HOST. */
function fakeOllama(folder: string) {
  const notes = join(folder, 'notes')
  const program = join(folder, 'ollama')
  writeFileSync(
    program,
    `#!/bin/sh
echo "$$ $1 $OLLAMA_HOST $OLLAMA_NUM_PARALLEL $CHASQUI_JOIN_TOKEN" >> '${notes}'
exec '${process.execPath}' '${join(home, 'src/main.mjs')}' simulate --port "\${OLLAMA_HOST##*:}" \\
  --slots "$OLLAMA_NUM_PARALLEL" --models m --answer-tokens 40 --speed 100
`,
  )
  chmodSync(program, 0o755)
  const starts = () =>
    existsSync(notes)
      ? readFileSync(notes, 'utf8')
          .trim()
          .split('\n')
          .map((line) => {
            const [pid, ...words] = line.trim().split(' ')
            return { pid: Number(pid), words }
          })
      : []
  return { program, starts }
}

describe('an agent that manages its Ollama', () => {
  it('starts it, starts it again when it was killed, restarts it on an order, and ends it', async () => {
    using folder = scratchFolder()
    const { program, starts } = fakeOllama(folder.path)
    const port = await freePort()
    await using proxy = await startFakeProxy(joinKey(token))
    await using agent = await startProcess(
      [
        ...['agent', '--ollama', `http://127.0.0.1:${port}`, '--listen', '127.0.0.1:0'],
        ...['--manage', '--ollama-bin', program, '--slots', '2', '--join', proxy.url],
      ],
      {
        CHASQUI_JOIN_TOKEN: token,
        CHASQUI_LOG_LEVEL: 'debug',
        CHASQUI_PROBES_INTERVAL: '300ms',
        CHASQUI_PROBES_TIMEOUT: '250ms',
        CHASQUI_TIMEOUTS_DRAIN: '10s',
      },
    )
    const ask = () => wholeCall(`${agent.url}/api/chat`, { body: chat })
    // Set for the child, which is told nothing that is not its business.
    expect(starts()[0]!.words).toEqual(['serve', `127.0.0.1:${port}`, '2'])
    if (process.platform === 'linux')
      expect(readFileSync(`/proc/${agent.pid}/environ`, 'utf8')).not.toContain('OLLAMA_HOST')
    expect((await ask()).status).toBe(200)

    process.kill(starts()[0]!.pid, 'SIGKILL')
    await until(async () => starts().length === 2 && (await ask()).status === 200, 15_000)
    expect(agent.stderr()).toContain('ollama serve has ended (SIGKILL)')

    await until(() => proxy.calls.length >= 2)
    const running = openCall(`${agent.url}/api/chat`, { body: chat })
    await until(() => running.lines().length > 0)
    const order = await proxy.order(agent.url, '/agent/restart')
    expect(order).toMatchObject({ status: 202, isSigned: true, body: { state: 'restarting' } })
    const waiting = openCall(`${agent.url}/api/chat`, { body: chat })
    // What ran has ended as it should, and who came meanwhile was served by the new one.
    expect(await running.ended).toBe('clean')
    expect(running.lines().at(-1)).toContain('"done":true')
    expect((await waiting.head).status).toBe(200)
    await waiting.ended
    expect(waiting.lines().at(-1)).toContain('"done":true')
    expect(starts()).toHaveLength(3)
    expect(isThere(starts()[1]!.pid)).toBe(false)

    agent.kill('SIGTERM')
    expect(await agent.exited()).toBe(0)
    expect(isThere(starts()[2]!.pid)).toBe(false)
    expect(agent.stderr() + agent.stdout()).not.toContain(token)
  })
})
