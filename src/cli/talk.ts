import { styleText } from 'node:util'

/** Talk goes to stderr, data to stdout: a pipe only ever gets data. */
export function say(line = ''): void {
  process.stderr.write(`${line}\n`)
}

export function data(line: string): void {
  process.stdout.write(`${line}\n`)
}

export function strong(text: string): string {
  return styleText('bold', text, { stream: process.stderr })
}
