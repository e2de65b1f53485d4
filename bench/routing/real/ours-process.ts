/** `chasqui up` with one difference: its clock runs as fast as that of the simulated servers. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { datedClock } from '../../../backends/simulator/dated-clock.ts'
import { startApp } from '../../../src/app.ts'
import { readConfig } from '../../../src/config/read.ts'

/** A machine with too much to do misses probes: who reads the figures should know how often that was. */
function say(backend: string, state: string): void {
  process.stderr.write(`${backend} is ${state}\n`)
}

const [file = '', scale, datesFromMs] = process.argv.slice(2)
const read = readConfig(readFileSync(file, 'utf8'), { fileName: file, env: {} })
if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join('; '))
const app = await startApp(
  { ...read.settings, dataDir: dirname(file) },
  {
    clock: datedClock(Number(scale), Number(datesFromMs)),
    firstLooksMsMax: 5_000,
    observer: { backendTurned: say },
  },
)
process.stdout.write(`ready ${app.url}\n`)
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void app.stop().then(() => process.exit(0)))
