import { execFile } from 'node:child_process'

/** What a program printed, or why it printed nothing. */
export type Printed =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: string }

export type RunProgram = (name: string, args: readonly string[]) => Promise<Printed>

/** Tools for graphics cards hang when their driver does; nobody waits longer for figures. */
const programMsMax = 2_000
const printedBytesMax = 1_048_576

/** Runs a program of this machine and gives what it printed. Never throws, never waits longer than 2 s. */
export const runProgram: RunProgram = (name, args) =>
  new Promise((resolve) => {
    const options = { timeout: programMsMax, maxBuffer: printedBytesMax, killSignal: 'SIGKILL' }
    execFile(name, [...args], { ...options, killSignal: 'SIGKILL' }, (error, text) => {
      if (!error) return resolve({ ok: true, text })
      resolve({ ok: false, why: `${name}: ${reasonOf(error)}` })
    })
  })

function reasonOf(error: Error & { code?: number | string | null; killed?: boolean }): string {
  if (error.code === 'ENOENT') return 'not found'
  if (error.code === 'EACCES') return 'this user may not run it'
  if (error.killed) return `no answer within ${programMsMax / 1_000} s`
  return typeof error.code === 'number' ? `ended with ${error.code}` : 'failed'
}
