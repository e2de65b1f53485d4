import { type ChildProcess, spawn } from 'node:child_process'

/** A program that was started: how it ended, and how to end it. */
export interface Child {
  /** Resolves when it has ended, with its exit code or the signal's name, or why it could not be started. */
  readonly ended: Promise<string>
  /** Asks it to end, and after `killAfterMs` no longer asks. Resolves when it has ended. */
  end(killAfterMs: number): Promise<void>
}

export interface StartChild {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/**
 * Starts a program in a process group of its own: Ctrl-C at the terminal is for the agent, which ends its child in
 * order, and what the child has started (model runners) is ended with it. What it says goes to stderr.
 */
export function startChild({ program, args, env }: StartChild): Child {
  const child = spawn(program, [...args], { env, detached: true, stdio: ['ignore', 2, 2] })
  let isOver = false
  // Also where the agent ends in a hurry; only `kill -9` of the agent leaves it behind.
  const endWithUs = () => signalGroup(child, 'SIGTERM')
  process.once('exit', endWithUs)
  const ended = new Promise<string>((resolve) => {
    const over = (how: string) => {
      isOver = true
      // Model runners of a server that was killed would keep their memory.
      signalGroup(child, 'SIGKILL')
      process.off('exit', endWithUs)
      resolve(how)
    }
    child.once('error', (error: NodeJS.ErrnoException) =>
      over(error.code === 'ENOENT' ? `${program} is not found` : error.message),
    )
    child.once('exit', (code, signal) => over(signal ?? `exit code ${code}`))
  })
  return {
    ended,
    async end(killAfterMs) {
      if (isOver) return
      signalGroup(child, 'SIGTERM')
      const kill = setTimeout(() => signalGroup(child, 'SIGKILL'), killAfterMs)
      await ended
      clearTimeout(kill)
    },
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  const { pid } = child
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // Nobody of the group is left, or the system knows no groups.
    child.kill(signal)
  }
}
