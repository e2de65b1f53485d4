import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { taskset } from './machine.ts'
import { family } from './proc.ts'

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Hears each line that it writes to stderr. */
  readonly hear?: (line: string) => void
}

/** A process of ours: stopped with all that came from it when it goes out of scope. */
export interface Child extends AsyncDisposable {
  readonly pid: number
  readonly alive: boolean
  /** The first line of its output that begins so; rejects when it ends or the time runs out before. */
  line(beginning: string, limitMs: number): Promise<string>
  /** Everything it wrote to stdout, once it has ended by itself. */
  finished(limitMs: number): Promise<string>
  /** Sends a message by IPC and takes the next one as the answer. */
  ask<Answer>(message: object, limitMs: number): Promise<Answer>
  /** How often these words stand in what it said on stderr, as far as that is kept. */
  said(words: string): number
  /** The last that it said, for a person who wonders why it failed. */
  lastWords(): string
}

/** Kept of what a child says: a child that never stops talking must not fill our memory. */
const wordsKept = 20_000
const patienceMs = 2_000
const running = new Set<number>()

// Whatever ends this process, nothing that it started stays behind.
process.on('exit', () => {
  for (const pid of running) killFamily(pid)
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => process.exit(130))

export async function start(command: Command, cpu?: number, ipc = false): Promise<Child> {
  const pinner = cpu === undefined ? undefined : taskset
  const stdio: StdioOptions = ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe']
  const child: ChildProcess = spawn(
    pinner ?? command.program,
    pinner ? ['-c', `${cpu}`, command.program, ...command.args] : command.args,
    { env: { ...process.env, ...command.env }, stdio },
  )
  await once(child, 'spawn')
  const pid = child.pid!
  running.add(pid)
  child.once('exit', () => running.delete(pid))
  // Later than the exit: by now all that it wrote has been read.
  const closed = once(child, 'close')

  let out = ''
  let err = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out = (out + text).slice(-wordsKept)
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err = (err + text).slice(-wordsKept)
  })
  if (command.hear) createInterface({ input: child.stderr! }).on('line', command.hear)

  const lastWords = () => (err.trim() || out.trim()).split('\n').slice(-3).join(' ').slice(-300)
  const alive = () => child.exitCode === null && child.signalCode === null
  const orEnd = <Result>(limitMs: number, begin: (done: (result: Result) => void) => () => void) =>
    new Promise<Result>((resolve, reject) => {
      const settle = () => {
        clearTimeout(limit)
        forget()
        child.off('close', onClose)
      }
      const onClose = () => {
        settle()
        reject(new Error(`it ended: ${lastWords() || 'without a word'}`))
      }
      const limit = setTimeout(() => {
        settle()
        reject(new Error(`nothing for ${limitMs} ms: ${lastWords() || 'not a word'}`))
      }, limitMs)
      const forget = begin((result) => {
        settle()
        resolve(result)
      })
      child.once('close', onClose)
      if (!alive()) onClose()
    })

  return {
    pid,
    get alive() {
      return alive()
    },
    lastWords,
    said: (words) => err.split(words).length - 1,
    line: (beginning, limitMs) =>
      orEnd(limitMs, (done) => {
        const look = () => {
          const found = out.split('\n').find((line) => line.startsWith(beginning))
          if (found) done(found)
        }
        child.stdout!.on('data', look)
        queueMicrotask(look)
        return () => child.stdout!.off('data', look)
      }),
    async finished(limitMs) {
      const late = sleep(limitMs, 'late', { ref: false })
      if ((await Promise.race([closed, late])) === 'late') throw new Error('it did not end')
      if (child.exitCode !== 0) throw new Error(`it ended with ${child.exitCode}: ${lastWords()}`)
      return out
    },
    ask: <Answer>(message: object, limitMs: number) =>
      orEnd<Answer>(limitMs, (done) => {
        child.once('message', done)
        child.send(message)
        return () => child.off('message', done)
      }),
    [Symbol.asyncDispose]: () => stop(child),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await Promise.race([gone, sleep(patienceMs, undefined, { ref: false })])
  if (child.exitCode !== null || child.signalCode !== null) return
  killFamily(child.pid!)
  await gone
}

function killFamily(pid: number): void {
  // Listed before the first signal: an orphan no longer says whose child it was.
  for (const each of family(pid)) {
    try {
      process.kill(each, 'SIGKILL')
    } catch {
      // It went by itself in between.
    }
  }
}
