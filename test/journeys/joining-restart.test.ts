import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Worker } from '../../src/http/workers.ts'
import { startConfigured } from '../help/configured.ts'
import { ask } from '../help/herd.ts'
import { freePort } from '../help/ports.ts'
import { runCommand, startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { chat, model } from '../help/warm-fleet.ts'
import { token } from '../members/help.ts'

const main = resolve(import.meta.dirname, '..', '..', 'src', 'main.mjs')

/** Called like Ollama; it notes each start, and is a simulator at the address of OLLAMA_HOST. */
function program(folder: string): { path: string; starts: () => number } {
  const path = join(folder, 'ollama')
  const notes = join(folder, 'notes')
  const simulate = `'${process.execPath}' '${main}' simulate --port "\${OLLAMA_HOST##*:}" --models ${model}`
  writeFileSync(path, `#!/bin/sh\necho start >> '${notes}'\nexec ${simulate} --answer-tokens 5\n`)
  chmodSync(path, 0o755)
  return {
    path,
    starts: () => (existsSync(notes) ? readFileSync(notes, 'utf8').trim().split('\n').length : 0),
  }
}

describe('chasqui backend restart', () => {
  it('starts the Ollama anew behind its agent, which serves again', async () => {
    using folder = scratchFolder()
    const ollama = program(folder.path)
    const port = await freePort()
    await using it = await startConfigured(
      `continuation: false\njoin: {token: ${token}, allow: [{labels: [managed]}], allow_addresses: [127.0.0.1]}\n`,
    )
    await using agent = await startProcess(
      [
        ...['agent', '--name', 'yew', '--labels', 'managed', '--listen', '127.0.0.1:0'],
        ...['--ollama', `http://127.0.0.1:${port}`, '--manage', '--ollama-bin', ollama.path],
        ...['--slots', '2', '--join', it.url],
      ],
      {
        CHASQUI_JOIN_TOKEN: token,
        CHASQUI_PROBES_INTERVAL: '300ms',
        CHASQUI_PROBES_TIMEOUT: '250ms',
      },
    )
    const worker = async () => {
      const { status, text } = await ask(`${it.url}/api/workers/yew`)
      return status === 200 ? (JSON.parse(text) as Worker) : undefined
    }
    await until(async () => (await worker())?.state === 'ready')
    expect(await worker()).toMatchObject({ managed: true, kind: 'agent', labels: ['managed'] })
    const answered = async () => {
      const body = JSON.stringify(chat('hello'))
      return (await ask(`${it.url}/api/chat`, { method: 'POST', body })).status
    }
    await until(async () => (await answered()) === 200)

    const restarted = await runCommand(['backend', 'restart', 'yew', '--url', it.url])
    expect([restarted.code, restarted.stderr]).toEqual([0, ''])
    await until(() => ollama.starts() === 2)
    await until(async () => (await answered()) === 200)
    agent.kill('SIGTERM')
    expect(await agent.exited()).toBe(0)
    await until(async () => (await worker()) === undefined)
  }, 40_000)
})
