import { readFileSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// Plain JavaScript: Node need not load its reader of TypeScript, which takes 30 ms, before it knows where the cache of
// read sources is.
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

// What nobody catches is a fault of ours: said once, in full, and the process ends; a supervisor starts a clean one.
process.on('uncaughtException', (error) => {
  process.stderr.write(`chasqui: ${error.stack ?? error.message}\n`)
  process.exit(1)
})

// Whoever reads our data may stop early, as `head` does; that is no fault.
process.stdout.on('error', (error) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

// Stripped and compiled sources are kept beside the packages, so that only the first start pays for them. Where that
// folder can not be written nothing happens; a shared temporary folder would let others plant code.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/chasqui', import.meta.url)))
const { runCli } = await import('./cli/program.ts')

process.exitCode = await runCli(process.argv.slice(2), process.env, version)
// A pipe takes 64 KiB at once: what is still on its way would be lost.
await new Promise((resolve) => process.stdout.write('', () => resolve(undefined)))
// A stray handle must not keep a stopped process: what had to be finished has been awaited.
process.exit()
