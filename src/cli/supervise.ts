import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ListenAddress } from '../core/settings.ts'
import { exit } from './exit-codes.ts'
import { data, say } from './talk.ts'
import {
  type FindsMessage,
  type Inheritance,
  type Order,
  type ReadyMessage,
  workerVariable,
} from './under-supervisor.ts'

/** A successor that has not come up by then will not. */
const comeUpMsMax = 40_000
/** It serves; that it does not answer this soon says that it has much to do. */
const findsMsMax = 5_000
/** After a crash; each next wait is double, until a server has lived for a while. */
const againMsFirst = 100
const againMsMax = 10_000
const livedMsMin = 60_000
/** So many that do not come up, one after another, are for somebody else to mend. */
const failedStartsMax = 5

/**
 * A process that keeps the listening socket and nothing else, in front of the one that serves. While a server crashes
 * or is replaced the socket stays open, so that nobody is refused: whoever connects waits for the next one.
 * SIGUSR2 replaces the server; SIGHUP, SIGTERM and SIGINT are passed on to it.
 */
export async function supervise(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (process.platform === 'win32') {
    say('chasqui: on Windows no socket can be handed over; start it without --supervised')
    return exit.failed
  }
  return await new Supervisor(argv, env).run()
}

interface Server {
  readonly child: ChildProcess
  readonly startedMs: number
  /** How it ended, in words, and its code. */
  readonly ended: Promise<{ words: string; code: number }>
}

class Supervisor {
  readonly #argv: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  /** All that live: coming up, serving, leaving. */
  readonly #servers = new Set<Server>()
  readonly #over = Promise.withResolvers<number>()
  #serving: Server | undefined
  /** Never accepts here; the file number goes to every successor. */
  #socket: { readonly fd: number } | undefined
  #listen: ListenAddress | undefined
  #stopping = false
  /** One comes up at a time. */
  #starting: Promise<unknown> = Promise.resolve()
  #isReplacing = false
  #againMs = againMsFirst
  #code: number = exit.done

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv) {
    this.#argv = argv
    this.#env = env
  }

  async run(): Promise<number> {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => this.#stop(signal))
    process.on('SIGHUP', () => this.#serving?.child.kill('SIGHUP'))
    process.on('SIGUSR2', () => void this.#replace())
    const first = await this.#start()
    if (first.result === 'failed') return first.code
    data(`ready ${first.url}`)
    return await this.#over.promise
  }

  /** Starts one more and waits until it serves or has failed; where it serves, it is the one. */
  #start() {
    const started = this.#starting.then(() => this.#startNow())
    this.#starting = started
    return started
  }

  async #startNow(): Promise<
    { result: 'serves'; url: string } | { result: 'failed'; code: number }
  > {
    const otherFinds = await this.#findsOf(this.#serving)
    if (this.#stopping) return { result: 'failed', code: exit.done }
    const server = this.#spawn(otherFinds)
    const limit = setTimeout(() => {
      say(`chasqui: the new server did not come up within ${comeUpMsMax / 1_000} s`)
      server.child.kill('SIGKILL')
    }, comeUpMsMax)
    const ready = this.#readyOf(server)
    const outcome = await Promise.race([ready, server.ended])
    clearTimeout(limit)
    if ('code' in outcome) return { result: 'failed', code: outcome.code }
    this.#serving = server
    return { result: 'serves', url: outcome.url }
  }

  #spawn(otherFinds: readonly string[] | undefined): Server {
    const inheritance: Inheritance = {
      ...(this.#listen ? { listen: this.#listen } : {}),
      ...(otherFinds ? { otherFinds } : {}),
    }
    const child = spawn(
      process.execPath,
      [...process.execArgv, process.argv[1] ?? '', ...this.#argv],
      {
        stdio: ['inherit', 'inherit', 'inherit', 'ipc', ...(this.#socket ? [this.#socket.fd] : [])],
        env: { ...this.#env, [workerVariable]: JSON.stringify(inheritance) },
        // Ctrl-C reaches the whole group of a terminal; it is ours to say once.
        detached: true,
      },
    )
    const ended = once(child, 'exit').then(
      ([code, signal]: (number | string | null)[]) => ({
        words: signal === null ? `exit ${code}` : String(signal),
        code: typeof code === 'number' ? code : exit.failed,
      }),
      (error: Error) => ({ words: error.message, code: exit.failed }),
    )
    const server = { child, startedMs: performance.now(), ended }
    this.#servers.add(server)
    void ended.then(({ words, code }) => this.#ended(server, words, code))
    return server
  }

  /** Its first word; with the first server's comes the socket. */
  async #readyOf({ child }: Server): Promise<ReadyMessage> {
    return await new Promise((resolve) => {
      child.on('message', (message: ReadyMessage, handle: unknown) => {
        if (message.chasqui !== 'ready') return
        this.#socket ??= handle as { readonly fd: number }
        this.#listen ??= message.listen
        resolve(message)
      })
    })
  }

  /** What the one that serves finds ready: a successor that finds less must not take its place. */
  async #findsOf(server: Server | undefined): Promise<readonly string[] | undefined> {
    if (!server?.child.connected) return undefined
    const { child } = server
    const { promise, resolve } = Promise.withResolvers<readonly string[] | undefined>()
    const hear = (message: FindsMessage) => {
      if (message.chasqui === 'finds') resolve(message.ready)
    }
    child.on('message', hear)
    const limit = setTimeout(() => resolve([]), findsMsMax)
    void server.ended.then(() => resolve(undefined))
    child.send({ chasqui: 'finds?' } satisfies Order)
    const finds = await promise
    clearTimeout(limit)
    child.off('message', hear)
    return finds
  }

  #ended(server: Server, words: string, code: number): void {
    this.#servers.delete(server)
    const wasServing = this.#serving === server
    if (wasServing) this.#serving = undefined
    if (this.#stopping) {
      if (wasServing) this.#code = code
      if (this.#servers.size === 0) this.#over.resolve(this.#code)
      return
    }
    if (!wasServing) return
    if (performance.now() - server.startedMs > livedMsMin) this.#againMs = againMsFirst
    say(`chasqui: the server has ended (${words}), and is started again; who connects now waits`)
    void this.#mend()
  }

  async #mend(): Promise<void> {
    for (let failed = 0; failed < failedStartsMax; failed++) {
      await new Promise((resolve) => setTimeout(resolve, this.#againMs))
      this.#againMs = Math.min(this.#againMs * 2, againMsMax)
      // A successor that was coming up meanwhile serves already.
      await this.#starting
      if (this.#stopping || this.#serving) return
      const { result } = await this.#start()
      if (result === 'serves' || this.#stopping) return
    }
    say(`chasqui: ${failedStartsMax} servers in a row did not come up; giving up`)
    this.#over.resolve(exit.failed)
  }

  /** The old one leaves when the new one serves; one that does not come up changes nothing. */
  async #replace(): Promise<void> {
    if (this.#stopping || this.#isReplacing) return
    this.#isReplacing = true
    const old = this.#serving
    say('chasqui: SIGUSR2, starting a new server beside this one')
    const { result } = await this.#start()
    this.#isReplacing = false
    if (result === 'failed') {
      if (!this.#stopping) say('chasqui: the new server did not come up; the old one goes on')
      return
    }
    if (old?.child.connected) old.child.send({ chasqui: 'leave' } satisfies Order)
    // Told to stop while it came up: it has not heard that.
    if (this.#stopping) this.#serving?.child.kill('SIGTERM')
    else say('chasqui: the new server has taken over')
  }

  /** The second time they end at once, as every server does by itself. */
  #stop(signal: 'SIGTERM' | 'SIGINT'): void {
    this.#stopping = true
    for (const { child } of this.#servers) child.kill(signal)
    if (this.#servers.size === 0) this.#over.resolve(exit.done)
  }
}
