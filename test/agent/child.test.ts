import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startChild } from '../../backends/agent/manage/child.ts'
import { isThere } from '../help/is-there.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

/** A server that starts a runner of its own, and notes its number. */
function serverWithRunner(folder: string, ignoring: string) {
  const note = join(folder, 'runner')
  const program = join(folder, 'server')
  writeFileSync(program, `#!/bin/sh\n${ignoring}\nsleep 60 &\necho $! > '${note}'\nwait\nwait\n`, {
    mode: 0o755,
  })
  const runner = async () => Number(await readFile(note, 'utf8').catch(() => '0'))
  return { program, runner }
}

describe('a program that the agent has started', () => {
  it('takes what it has started along when it ends', async () => {
    using folder = scratchFolder()
    const { program, runner } = serverWithRunner(folder.path, '')
    const child = startChild({ program, args: [], env: process.env })
    await until(async () => (await runner()) > 0)
    await child.end(10_000)
    expect(await child.ended).toBe('SIGTERM')
    const pid = await runner()
    await until(() => !isThere(pid))
  })

  it('is killed when it does not listen', async () => {
    using folder = scratchFolder()
    const { program, runner } = serverWithRunner(folder.path, "trap '' TERM")
    const child = startChild({ program, args: [], env: process.env })
    await until(async () => (await runner()) > 0)
    await child.end(50)
    expect(await child.ended).toBe('SIGKILL')
  })

  it('that is not there says so', async () => {
    const child = startChild({ program: '/no/such/ollama', args: ['serve'], env: {} })
    expect(await child.ended).toBe('/no/such/ollama is not found')
    await child.end(10)
  })
})
