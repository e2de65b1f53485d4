import { readFileSync } from 'node:fs'
import { runCli } from './cli/program.ts'

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string }

// What nobody catches is a fault of ours: said once, in full, and the process ends; a supervisor starts a clean one.
process.on('uncaughtException', (error) => {
  process.stderr.write(`chasqui: ${error.stack ?? error.message}\n`)
  process.exit(1)
})

process.exitCode = await runCli(process.argv.slice(2), process.env, version)
// A stray handle must not keep a stopped process: what had to be finished has been awaited.
process.exit()
