/** `npm run bench` lists the benches; `npm run bench NAME` runs one, `npm run bench all` every one. */
import { faults, usage as faultsUsage } from './faults.ts'
import { overhead, usage as overheadUsage } from './overhead.ts'
import { UsageError } from './plan.ts'
import { routing, usage as routingUsage } from './routing.ts'
import { split, usage as splitUsage } from './split.ts'

interface Bench {
  readonly about: string
  readonly usage: string
  run(args: readonly string[]): Promise<void>
}

const benches: Readonly<Record<string, Bench>> = {
  overhead: {
    about: 'what a request pays for passing through us, beside nginx, HAProxy and others',
    usage: overheadUsage,
    run: overhead,
  },
  split: {
    about: 'how near one large request over many servers comes to the best that they could do',
    usage: splitUsage,
    run: split,
  },
  routing: {
    about:
      'how good the choice of a backend is, in virtual time, beside other balancers and a clairvoyant',
    usage: routingUsage,
    run: routing,
  },
  faults: {
    about: 'what clients get when backends die, hang and lie, beside nginx and HAProxy',
    usage: faultsUsage,
    run: faults,
  },
}

const [name, ...args] = process.argv.slice(2)
try {
  if (name === undefined) process.stdout.write(`${list()}\n`)
  else if (name === 'all') for (const bench of Object.values(benches)) await bench.run(args)
  else if (benches[name]) await benches[name].run(args)
  else throw new UsageError(`there is no bench "${name}"\n${list()}`)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`bench: ${error.message}\n`)
  process.exitCode = 2
}

function list(): string {
  return Object.entries(benches)
    .map(([each, { about, usage }]) => `  ${each}  ${about}\n    ${usage}`)
    .join('\n')
}
