import { parseArgs } from 'node:util'
import { durationMs, sizeBytes } from '../../src/core/duration.ts'
import type { Fault } from './faults.ts'
import { startSimulator } from './server.ts'
import { type ModelKind, modelKinds, type SimulatorSettings } from './settings.ts'

const usage = `node backends/simulator/main.ts [options]

  --port P              0: any free port, said on stdout            --host H
  --name N              for /sim/state                              --version V
  --models a,b          models on disk                              --kinds model=kind,…
  --slots N             requests per model at once                  --max-loaded N
  --max-queue N         requests that may wait for a load           --keep-alive 5m | -1
  --speed N             tokens per second that one slot writes      --prefill N tokens per second
  --load-seconds S      a flat load time                            --load-rate bytes per second
  --memory 16GiB        graphics memory                             --model-size 2GiB
  --context N           default num_ctx                             --slowdown alpha
  --answer-tokens N     length of every answer                      --generation old | new
  --seed N              of the dice                                 --jitter share
  --clock-speed X       times faster than life                      --no-host-check  --no-origin-check
  --set name=value      any other setting, the value as JSON        --faults JSON list
`

type Mutable<Thing> = { -readonly [Key in keyof Thing]: Thing[Key] }

/** The settings that the arguments say; throws an Error that a person can read. */
export function readArguments(argv: readonly string[]): Partial<SimulatorSettings> | 'help' {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...argv],
    options: {
      port: text,
      host: text,
      name: text,
      version: text,
      models: text,
      kinds: text,
      slots: text,
      'max-loaded': text,
      'max-queue': text,
      'keep-alive': text,
      speed: text,
      prefill: text,
      'load-seconds': text,
      'load-rate': text,
      memory: text,
      'model-size': text,
      context: text,
      slowdown: text,
      'answer-tokens': text,
      generation: text,
      seed: text,
      jitter: text,
      'clock-speed': text,
      'no-host-check': { type: 'boolean' },
      'no-origin-check': { type: 'boolean' },
      set: { type: 'string', multiple: true },
      faults: text,
      help: { type: 'boolean' },
    },
  })
  if (values.help) return 'help'
  const settings: Partial<Mutable<SimulatorSettings>> = {}
  const number = (name: string, value: string | undefined, put: (value: number) => void) => {
    if (value === undefined) return
    const read = Number(value)
    if (!Number.isFinite(read)) throw new Error(`--${name} needs a number, not "${value}"`)
    put(read)
  }
  const bytes = (name: string, value: string | undefined, put: (value: number) => void) => {
    if (value === undefined) return
    const read = sizeBytes(value) ?? Number(value)
    if (!Number.isFinite(read)) throw new Error(`--${name} needs bytes or a size such as 16GiB`)
    put(read)
  }
  number('port', values.port, (value) => {
    settings.port = value
  })
  number('slots', values.slots, (value) => {
    settings.slots = value
  })
  number('max-loaded', values['max-loaded'], (value) => {
    settings.maxLoaded = value
  })
  number('max-queue', values['max-queue'], (value) => {
    settings.maxQueue = value
  })
  number('speed', values.speed, (value) => {
    settings.decodeTokensPerSecond = value
  })
  number('prefill', values.prefill, (value) => {
    settings.prefillTokensPerSecond = value
  })
  number('load-seconds', values['load-seconds'], (value) => {
    settings.loadMs = value * 1000
  })
  number('context', values.context, (value) => {
    settings.contextDefault = value
  })
  number('slowdown', values.slowdown, (value) => {
    settings.slowdownAlpha = value
  })
  number('answer-tokens', values['answer-tokens'], (value) => {
    settings.answerTokens = value
  })
  number('seed', values.seed, (value) => {
    settings.seed = value
  })
  number('jitter', values.jitter, (value) => {
    settings.jitter = value
  })
  number('clock-speed', values['clock-speed'], (value) => {
    settings.clockSpeed = value
  })
  bytes('memory', values.memory, (value) => {
    settings.memoryBytes = value
  })
  bytes('model-size', values['model-size'], (value) => {
    settings.sizeBytesDefault = value
  })
  bytes('load-rate', values['load-rate'], (value) => {
    settings.loadBytesPerSecond = value
  })
  if (values.host !== undefined) settings.host = values.host
  if (values.name !== undefined) settings.name = values.name
  if (values.version !== undefined) settings.version = values.version
  if (values.models !== undefined) settings.models = values.models.split(',').filter(Boolean)
  if (values.kinds !== undefined) settings.kinds = readKinds(values.kinds)
  if (values.generation !== undefined) settings.generation = readGeneration(values.generation)
  if (values['keep-alive'] !== undefined) settings.keepAliveMs = readForever(values['keep-alive'])
  if (values['no-host-check']) settings.hostCheck = false
  if (values['no-origin-check']) settings.originCheck = false
  if (values.faults !== undefined) settings.faults = JSON.parse(values.faults) as Fault[]
  for (const pair of values.set ?? []) {
    const at = pair.indexOf('=')
    if (at < 0) throw new Error(`--set needs name=value, not "${pair}"`)
    Object.assign(settings, { [pair.slice(0, at)]: readValue(pair.slice(at + 1)) })
  }
  return settings
}

function readKinds(text: string): Record<string, ModelKind> {
  const kinds: Record<string, ModelKind> = {}
  for (const pair of text.split(',').filter(Boolean)) {
    const at = pair.lastIndexOf('=')
    const kind = modelKinds.find((one) => one === pair.slice(at + 1))
    if (at < 0 || kind === undefined)
      throw new Error(`--kinds needs model=kind with one of ${modelKinds.join(', ')}`)
    kinds[pair.slice(0, at)] = kind
  }
  return kinds
}

function readGeneration(text: string): 'old' | 'new' {
  if (text === 'old' || text === 'new') return text
  throw new Error(`--generation is old or new, not "${text}"`)
}

function readForever(text: string): number {
  if (text.startsWith('-')) return Infinity
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : durationMs(text)
  if (ms === undefined) throw new Error(`--keep-alive needs a duration such as 5m, not "${text}"`)
  return ms
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Serves until SIGTERM or SIGINT; the number is the exit code. */
export async function runSimulator(argv: string[]): Promise<number> {
  try {
    const settings = readArguments(argv)
    if (settings === 'help') {
      process.stdout.write(usage)
      return 0
    }
    const simulator = await startSimulator(settings)
    process.stdout.write(`ready ${simulator.url}\n`)
    await new Promise<void>((resolve) => {
      process.once('SIGTERM', () => resolve())
      process.once('SIGINT', () => resolve())
    })
    await simulator.close()
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    return 2
  }
}

if (import.meta.main) process.exit(await runSimulator(process.argv.slice(2)))
