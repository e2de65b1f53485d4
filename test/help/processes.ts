import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { scratchFolder } from './scratch.ts'

const home = join(fileURLToPath(import.meta.url), '..', '..', '..')

/** A server of ours as a process of its own: `kill -9` and SIGSTOP are real. Ends with its scope. */
export interface RunningProcess extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  /** Everything said so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  kill(signal: NodeJS.Signals): void
  /** Resolves with the exit code, or the signal's name. */
  exited(): Promise<number | string>
}

/** Starts `chasqui <args>` and waits for its one `ready` line. */
export async function startProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  const folder = scratchFolder()
  const child = spawn(process.execPath, [join(home, 'src/main.mjs'), ...args], {
    cwd: folder.path,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...withoutChasqui(process.env), CHASQUI_DATA: join(folder.path, 'data'), ...env },
  })
  const out = collected(child.stdout)
  const err = collected(child.stderr)
  const exit = exitOf(child)
  let over = false
  void exit.then(() => {
    over = true
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const ready = /^ready (http:\S+)$/m.exec(out())
      if (ready) resolve(ready[1]!)
    })
    void exit.then((code) =>
      reject(new Error(`chasqui ${args.join(' ')} ended with ${code}:\n${err()}`)),
    )
  })
  return {
    url,
    pid: child.pid!,
    stdout: out,
    stderr: err,
    kill: (signal) => void child.kill(signal),
    exited: () => exit,
    async [Symbol.asyncDispose]() {
      if (!over) {
        child.kill('SIGCONT')
        child.kill('SIGKILL')
      }
      await exit
      folder[Symbol.dispose]()
    },
  }
}

/** A simulated Ollama server as a process. */
export function startSimulatorProcess(args: readonly string[]): Promise<RunningProcess> {
  return startProcess(['simulate', '--port', '0', ...args])
}

/** The proxy in front of these servers, as a process, on a free port. */
export function startProxyProcess(
  backends: readonly string[],
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  return startProcess(
    [
      'up',
      '--listen',
      '127.0.0.1:0',
      ...backends.flatMap((backend) => ['--backend', backend]),
      ...args,
    ],
    env,
  )
}

/** A command that ends by itself. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  using folder = scratchFolder()
  const child = spawn(process.execPath, [join(home, 'src/main.mjs'), ...args], {
    cwd: cwd ?? folder.path,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...withoutChasqui(process.env), CHASQUI_DATA: join(folder.path, 'data'), ...env },
  })
  const out = collected(child.stdout)
  const err = collected(child.stderr)
  const code = await exitOf(child)
  return { code, stdout: out(), stderr: err() }
}

async function exitOf(child: ChildProcess): Promise<number | string> {
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return code ?? signal ?? 'unknown'
}

function collected(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    text += chunk
  })
  return () => text
}

/** A developer's own settings must not reach the tests. */
function withoutChasqui(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(CHASQUI|OLLAMA)_/.test(name)),
  )
}
