import { parseArgs } from 'node:util'
import { lineOf } from './says.ts'
import { StormWorld, usualOptions, type Weathered } from './storm.ts'

const usage = `node test/storms/run.ts [options]

  --seeds N        so many storms, of seeds from --seed on (50)
  --seed S         the first seed; alone: this one storm
  --exchanges N    of each (${usualOptions.exchanges})
  --clients N      at once (${usualOptions.clients})
  --soak HOURS     one proxy through storm after storm, for so long
`

const text = { type: 'string' } as const
const { values } = parseArgs({
  options: {
    seeds: text,
    seed: text,
    exchanges: text,
    clients: text,
    soak: text,
    help: { type: 'boolean' },
  },
})

if (values.help) process.stdout.write(usage)
else process.exitCode = await main()

async function main(): Promise<number> {
  const firstSeed = number('seed') ?? 1
  const options = {
    exchanges: number('exchanges') ?? usualOptions.exchanges,
    clients: number('clients') ?? usualOptions.clients,
  }
  const hours = number('soak')
  const count = number('seeds') ?? (values.seed === undefined ? 50 : 1)
  let failed = 0
  if (hours === undefined) {
    for (let seed = firstSeed; seed < firstSeed + count; seed++) {
      await using world = new StormWorld()
      await world.start()
      failed += say(await world.weather(seed, options))
    }
  } else {
    const endMs = performance.now() + hours * 3_600_000
    await using world = new StormWorld()
    await world.start()
    for (let seed = firstSeed; performance.now() < endMs; seed++)
      failed += say(await world.weather(seed, options))
  }
  return failed === 0 ? 0 : 1
}

function number(name: 'seeds' | 'seed' | 'exchanges' | 'clients' | 'soak'): number | undefined {
  const given = values[name]
  if (given === undefined) return undefined
  const read = Number(given)
  if (!Number.isFinite(read) || read <= 0) throw new Error(`--${name} needs a number above 0`)
  return read
}

/** One line for each storm; more where it was not weathered. Gives back 1 for that. */
function say(storm: Weathered): number {
  process.stdout.write(`${lineOf(storm)}\n`)
  if (storm.complaints.length === 0) return 0
  for (const each of storm.complaints) process.stdout.write(`  ${each}\n`)
  const { seed, exchanges } = storm
  process.stdout.write(`  again: node test/storms/run.ts --seed ${seed} --exchanges ${exchanges}\n`)
  return 1
}
