/** Starts a real Ollama of whoever runs the calibration, on loopback with everything of its own in a scratch folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { tinyGguf } from './gguf.ts'
import { send } from './observe.ts'
import { type PhaseSettings, SEED_MODELS, sha256, type Target } from './scenarios.ts'

export interface RealOllama extends Target {
  version: string
  log: () => string
  /** Where its models are. */
  models: string
  /** As a machine that loses its power: the server and its engines, at once. */
  kill: () => void
  stop: () => Promise<void>
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Children of a process, from /proc; none where there is no /proc. */
function children(pid: number): number[] {
  const list: number[] = []
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      list.push(...text.trim().split(/\s+/).filter(Boolean).map(Number))
    }
  } catch {
    // The process has gone.
  }
  return list
}

/**
 * Newer Ollama looks for its engine in `build/lib/ollama` of the working directory, among other places. There we put
 * either the engine folder we were given or scripts that start our scripted one.
 */
function engineLayout(folder: string, engineDir: string | undefined): void {
  const place = join(folder, 'build', 'lib', 'ollama')
  mkdirSync(place, { recursive: true })
  const scripted = fileURLToPath(new URL('./fake-llama-server.mjs', import.meta.url))
  for (const name of ['llama-server', 'llama-quantize']) {
    const command =
      engineDir === undefined
        ? `exec '${process.execPath}' '${scripted}' "$@"`
        : `exec '${join(engineDir, name)}' "$@"`
    writeFileSync(join(place, name), `#!/bin/sh\n${command}\n`)
    chmodSync(join(place, name), 0o755)
  }
}

export async function startReal(
  bin: string,
  settings: PhaseSettings,
  engineDir?: string,
  /** Whose models it has as well: made twice they would not be the same to the byte. */
  like?: RealOllama,
): Promise<RealOllama> {
  const folder = mkdtempSync(join(tmpdir(), 'calibrate-'))
  engineLayout(folder, engineDir)
  const models = join(folder, 'models')
  if (like) cpSync(like.models, models, { recursive: true })
  const port = await freePort()
  const logFile = join(folder, 'log.txt')
  const output = openSync(logFile, 'w')
  const child: ChildProcess = spawn(bin, ['serve'], {
    cwd: folder,
    stdio: ['ignore', output, output],
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: folder,
      TZ: process.env['TZ'] ?? '',
      OLLAMA_HOST: `127.0.0.1:${port}`,
      OLLAMA_MODELS: models,
      OLLAMA_NO_CLOUD: '1',
      OLLAMA_MAX_LOADED_MODELS: String(settings.maxLoaded),
      OLLAMA_MAX_QUEUE: String(settings.maxQueue),
      OLLAMA_NUM_PARALLEL: String(settings.parallel),
      OLLAMA_CONTEXT_LENGTH: '4096',
      OLLAMA_DEBUG: '1',
      OMP_NUM_THREADS: '1',
      FAKE_LOAD_MS: String(settings.loadMs),
      // Nothing may leave the machine: what is not loopback meets a closed port.
      HTTP_PROXY: 'http://127.0.0.1:1',
      HTTPS_PROXY: 'http://127.0.0.1:1',
    },
  })
  closeSync(output)
  const pid = child.pid
  if (pid === undefined) throw new Error(`could not start ${bin}`)
  let exited = false
  child.on('exit', () => {
    exited = true
  })
  const stop = async (): Promise<void> => {
    if (!exited) {
      child.kill('SIGTERM')
      for (let tries = 0; tries < 100 && !exited; tries++) await sleep(50)
      if (!exited) child.kill('SIGKILL')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const log = (): string => readFileSync(logFile, 'utf8')

  try {
    let version = ''
    for (let tries = 0; tries < 600 && version === ''; tries++) {
      if (exited) throw new Error(`the server ended:\n${log()}`)
      try {
        const answer = await send(port, { method: 'GET', path: '/api/version' })
        version = (JSON.parse(answer.text) as { version: string }).version
      } catch {
        await sleep(50)
      }
    }
    if (!like) await seed(port)
    return {
      port,
      version,
      log,
      models,
      kill() {
        const engines = children(pid)
        child.kill('SIGKILL')
        for (const engine of engines) process.kill(engine, 'SIGKILL')
      },
      stop,
      killEngine: async () => {
        const engines = children(pid)
        for (const engine of engines) process.kill(engine, 'SIGKILL')
        await sleep(20)
        return engines.length > 0
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function seed(port: number): Promise<void> {
  for (const model of SEED_MODELS) {
    const data = tinyGguf({
      seed: model.seed,
      ...(model.embedding === undefined ? {} : { embedding: model.embedding }),
      ...(model.chatTemplate === undefined ? {} : { chatTemplate: model.chatTemplate }),
    })
    const digest = `sha256:${sha256(data)}`
    await send(port, { method: 'POST', path: `/api/blobs/${digest}`, body: data })
    const answer = await send(port, {
      method: 'POST',
      path: '/api/create',
      body: {
        model: model.name,
        files: { [`${model.name}.gguf`]: digest },
        stream: false,
        ...(model.template === undefined ? {} : { template: model.template }),
      },
    })
    if (answer.status !== 200) throw new Error(`could not create ${model.name}: ${answer.text}`)
  }
}
