import { exit } from './exit-codes.ts'
import { callProxy } from './remote.ts'
import { data, say } from './talk.ts'

interface Status {
  readonly queue_size: number
  readonly in_flight: number
  readonly active_backends: number
  readonly total_backends: number
  readonly backends: readonly {
    readonly name: string
    readonly state: string
    readonly reason: string
    readonly in_flight: number
    readonly resident: readonly string[]
    readonly models: readonly string[]
  }[]
}

/** `chasqui status`: the fleet as the proxy sees it, for eyes or as JSON. */
export async function status(
  url: string,
  asJson: boolean,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const called = await callProxy(url, '/queue-status', env)
  if (!called.ok) return called.code
  if (!Array.isArray((called.body as Partial<Status> | undefined)?.backends)) {
    say(`chasqui: what answers at ${url} is no Chasqui`)
    return exit.failed
  }
  if (asJson) {
    data(JSON.stringify(called.body))
    return exit.done
  }
  const fleet = called.body as Status
  data(
    `${fleet.active_backends} of ${fleet.total_backends} backends serve, ${fleet.in_flight} run, ${fleet.queue_size} wait`,
  )
  const width = Math.max(4, ...fleet.backends.map(({ name }) => name.length))
  for (const backend of fleet.backends) {
    const why = backend.reason === '' ? '' : ` (${backend.reason})`
    const loaded = backend.resident.length === 0 ? 'nothing loaded' : backend.resident.join(', ')
    data(
      `${backend.name.padEnd(width)}  ${backend.state}${why}  ${backend.in_flight} running  ${loaded}  ${backend.models.length} models`,
    )
  }
  return exit.done
}
