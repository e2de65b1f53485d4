import { once } from 'node:events'
import { closeSync, fstatSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs'
import { wrongUsage } from './split-failure.ts'
import { oneLine } from './split-words.ts'

/** Where answers go: stdout, or the file that was named. */
export interface Output extends Disposable {
  write(text: string): void
  /** Until a slow reader has taken most of what was written; rejects when the signal fires. */
  roomFor(signal: AbortSignal): Promise<unknown>
  /** Until everything is out: what a pipe has not taken is lost when the process ends. */
  flushed(): Promise<void>
  readonly terminal: boolean
}

/** Throws a SplitFailure when it can not be written, or is one of the inputs. */
export function openOutput(
  path: string | undefined,
  inputs: readonly (string | undefined)[],
): Output {
  if (path === undefined || path === '-')
    return {
      write: (text) => void process.stdout.write(text),
      roomFor: async (signal) => {
        if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain', { signal })
      },
      flushed: async () => {
        if (process.stdout.writableLength > 0)
          await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
      },
      terminal: process.stdout.isTTY === true,
      [Symbol.dispose]: () => {},
    }
  for (const input of inputs)
    if (input !== undefined && isSameFile(input, path))
      throw wrongUsage(`--output ${oneLine(path)} is the file that is read`, 'Name another one.')
  return new FileOutput(path)
}

/** What was in the file stays until there is something to take its place. */
class FileOutput implements Output {
  readonly terminal = false
  readonly #file: number
  #emptied = false

  constructor(path: string) {
    try {
      this.#file = openSync(path, 'a')
    } catch (error) {
      const why = oneLine((error as Error).message)
      throw wrongUsage(`--output ${oneLine(path)} can not be written: ${why}`)
    }
  }

  write(text: string): void {
    if (!this.#emptied && fstatSync(this.#file).isFile()) ftruncateSync(this.#file)
    this.#emptied = true
    let bytes: Uint8Array = Buffer.from(text)
    while (bytes.length > 0) bytes = bytes.subarray(writeSync(this.#file, bytes))
  }

  async roomFor(): Promise<void> {}

  async flushed(): Promise<void> {}

  [Symbol.dispose](): void {
    closeSync(this.#file)
  }
}

function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => statSync(path, { throwIfNoEntry: false }))
  return a?.isFile() === true && a.ino === b?.ino && a.dev === b.dev
}
