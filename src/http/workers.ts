import type { Member } from '../members/member.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { HttpDoors } from './doors.ts'
import { stateOf } from './status.ts'

type Doors = Pick<HttpDoors, 'pool' | 'members' | 'clock'>

/** A serving machine as the API shows it: those in service, those that leave, and those that wait to be accepted. */
export interface Worker {
  readonly id: string
  /** In the words of those who only ask whether it works; `state` says it exactly. */
  readonly status: 'online' | 'offline' | 'busy'
  readonly state: string
  readonly reason: string
  readonly kind: 'agent' | 'plain'
  readonly how: 'configured' | Member['how']
  readonly url: string
  readonly labels: readonly string[]
  /** What its models can do, as far as they say. */
  readonly capabilities: readonly string[]
  readonly models: readonly string[]
  readonly running: number
  /** ISO 8601; null: never. */
  readonly lastSeen: string | null
  readonly performance: {
    readonly tasksCompleted: number
    /** Milliseconds on a seat; null before the first. */
    readonly averageTime: number | null
    /** From 0 to 1; null before the first. */
    readonly successRate: number | null
  }
  readonly tokens_per_second: number | null
  readonly version: string | null
  readonly managed: boolean
  /** The newest report of its agent; null where there is none. */
  readonly load: Member['load'] | null
}

export function workers(doors: Doors): Worker[] {
  const { pool, members } = doors
  const serving = pool.endpoints.map((endpoint) => workerAt(endpoint, doors))
  const ids = new Set(serving.map(({ id }) => id))
  const leaving = [...pool.leaving].filter(({ name }) => !ids.has(name))
  for (const { name } of leaving) ids.add(name)
  const waiting = [...members.all()].filter(({ name }) => !ids.has(name))
  return [
    ...serving,
    ...leaving.map((endpoint) => ({
      ...workerAt(endpoint, doors),
      status: 'offline' as const,
      state: 'leaving',
      reason: 'out of service; what runs there ends',
    })),
    ...waiting.map(waitingWorker),
  ]
}

function workerAt(endpoint: Endpoint, { members, clock }: Doors): Worker {
  const { name, backend, told, tally } = endpoint
  const member = memberAt(endpoint, members)
  const { state, reason } = stateOf(endpoint)
  const works = state === 'ready'
  const isFull = works && endpoint.inFlight >= endpoint.capacity
  const all = tally.answered + tally.failed
  return {
    id: name,
    status: works ? (isFull ? 'busy' : 'online') : 'offline',
    state,
    reason,
    kind: member?.how === 'joined' ? 'agent' : 'plain',
    how: member?.how ?? 'configured',
    url: backend.origin + backend.pathPrefix,
    labels: backend.labels,
    capabilities: capabilitiesOf(endpoint),
    models: [...endpoint.onDisk.keys()],
    running: endpoint.inFlight,
    lastSeen: isoDate(
      member?.heardWallMs ??
        (endpoint.seenMs === undefined ? undefined : clock.wall() - clock.now() + endpoint.seenMs),
    ),
    performance: {
      tasksCompleted: tally.answered,
      averageTime: rounded(tally.tookMs.value),
      successRate: all === 0 ? null : tally.answered / all,
    },
    tokens_per_second: rounded(endpoint.tokensPerSecond.value),
    version: endpoint.version ?? null,
    managed: member?.agent?.managed ?? false,
    load: told?.report ?? null,
  }
}

/** One that nobody has said yes to, or that has just left. */
function waitingWorker(member: Member): Worker {
  const { name, state, how, origin, labels, version, agent, load } = member
  return {
    id: name,
    status: 'offline',
    state,
    reason: state === 'pending' ? `waits for: chasqui backend accept ${name}` : '',
    kind: how === 'joined' ? 'agent' : 'plain',
    how,
    url: origin,
    labels,
    capabilities: [...new Set(Object.values(load?.capabilities ?? {}).flat())].sort(),
    models: Object.keys(load?.capabilities ?? {}),
    running: 0,
    lastSeen: isoDate(member.heardWallMs),
    performance: { tasksCompleted: 0, averageTime: null, successRate: null },
    tokens_per_second: null,
    version: version === '' ? null : version,
    managed: agent?.managed ?? false,
    load: load ?? null,
  }
}

/** A backend of the configuration may have taken the name of a member. */
export function memberAt(
  { name, backend }: Endpoint,
  members: Doors['members'],
): Member | undefined {
  const member = members.get(name)
  return member?.origin === backend.origin ? member : undefined
}

function capabilitiesOf({ onDisk, told }: Endpoint): string[] {
  const said = Object.values(told?.report.capabilities ?? {}).flat()
  const listed = [...onDisk.values()].flatMap(({ capabilities }) => [...(capabilities ?? [])])
  return [...new Set([...said, ...listed])].sort()
}

const isoDate = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())

const rounded = (value: number | undefined) =>
  value === undefined ? null : Math.round(value * 10) / 10
