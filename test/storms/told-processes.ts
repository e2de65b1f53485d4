import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of a storm that is told what to do by messages, and answers each in its turn. */
export class ToldProcess<Order extends object, Reply> {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  readonly #waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = []
  #over: string | undefined
  #said = ''

  /** `aside` takes a message that answers nothing, and says whether it did. */
  constructor(file: string, execArgv: readonly string[], aside: (reply: Reply) => boolean) {
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), {
      execArgv: [...execArgv],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#exit = once(this.#child, 'exit')
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-4_000)
    })
    this.#child.on('message', (reply) => {
      if (!aside(reply as Reply)) this.#waiting.shift()?.resolve(reply as Reply)
    })
    this.#child.on('error', () => {})
    this.#child.on('exit', (code, signal) => {
      this.#over = `${file} ended with ${code ?? signal}: ${this.#said}`
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(this.#over))
    })
  }

  /** How it ended; undefined while it runs. */
  get over(): string | undefined {
    return this.#over
  }

  /** The last of what it wrote to stderr. */
  get said(): string {
    return this.#said
  }

  tell(order: Order): Promise<Reply> {
    if (this.#over !== undefined) return Promise.reject(new Error(this.#over))
    const answered = new Promise<Reply>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
    this.#child.send(order, () => {})
    return answered
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    if (this.#over !== undefined) return
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}
