import { randomBytes } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { AskInside } from '../../core/inner-call.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import type { Sighting } from './conformance.ts'
import type { AskProbe } from './measure.ts'

/** A question of 96 tokens takes half a minute on a slow machine without a graphics card. */
const questionMsMax = 60_000

export interface ProbeDoors {
  readonly pool: Pool
  readonly clock: Clock
  readonly ask: AskInside
  /** The probe's model is in memory there, with the options of the stream that was seen (`Loads.needed`, negated). */
  readonly isLoaded: (endpoint: Endpoint, sighting: Sighting) => boolean
  /** Batch answers may have to give their seat to people, and go on later at the same backend. */
  readonly givesWay: () => boolean
}

type SeatDoors = Omit<ProbeDoors, 'ask' | 'clock'>

/** Whether a model can be measured at the backend where it was seen: see `ConformanceDoors.isIdle`. */
export function isIdleIn(doors: SeatDoors, seen: Sighting): boolean {
  const seats = doors.pool.endpoint(seen.backend)?.model(seen.canonical)
  return seats?.seatFree === true && isThereIn(doors, seen)
}

/** The same where it would have to wait for a seat. */
export function isThereIn({ pool, isLoaded, givesWay }: SeatDoors, seen: Sighting): boolean {
  const endpoint = pool.endpoint(seen.backend)
  if (!endpoint || !holds(endpoint, seen) || !isLoaded(endpoint, seen)) return false
  const model = endpoint.model(seen.canonical)
  if (!model?.resident || model.remote || !model.admitting) return false
  if (seen.isBatch && givesWay()) return true
  return pool.endpoints.some((other) => other !== endpoint && holds(other, seen))
}

function holds(endpoint: Endpoint, { canonical, digest }: Sighting): boolean {
  return endpoint.ready && endpoint.enabled && endpoint.model(canonical)?.digest === digest
}

/** A probe's way out: ordinary calls of our own that wait in the queue behind everybody and name one backend. */
export function askAtIn(
  { pool, clock, ask }: Omit<ProbeDoors, 'isLoaded' | 'givesWay'>,
  seen: Sighting,
): AskProbe {
  // A model is measured again after each release of its server: its questions are others.
  const series = randomBytes(3).toString('hex')
  let count = 0
  return async (path, body) => {
    count++
    const others = pool.endpoints.flatMap(({ name }) => (name === seen.backend ? [] : [name]))
    const endpoint = pool.endpoint(seen.backend)
    const keepAlive = endpoint && keepAliveOf(endpoint, seen.canonical, clock.wall())
    const lasting = keepAlive === undefined ? body : { ...body, keep_alive: keepAlive }
    const { status, body: said } = await ask({
      id: `continue-probe.${seen.digest.slice(0, 12)}.${series}.${count}`,
      path,
      body: Buffer.from(JSON.stringify(lasting)),
      tenant: 'chasqui',
      priority: 'batch',
      isOurs: true,
      labels: [],
      work: 'probe',
      deadlineMs: clock.now() + questionMsMax,
      except: new Set(others),
    }).answer
    if (status !== 200) throw new Error(`it answered ${status}`)
    return JSON.parse(said.toString('utf8')) as unknown
  }
}

/**
 * What `keep_alive` a probe must send so that the model stays in memory as long as it would have: Ollama starts the
 * time anew with every request. In whole seconds; -1: for ever; undefined: the server did not say.
 */
export function keepAliveOf(endpoint: Endpoint, canonical: string, wallMs: number) {
  const expiresMs = Date.parse(endpoint.inMemory.get(canonical)?.expiresAt ?? '')
  if (Number.isNaN(expiresMs)) return undefined
  const leftS = Math.round((expiresMs - wallMs) / 1_000)
  // "For ever" is 292 years in Go.
  return leftS > yearS ? -1 : Math.max(leftS, 60)
}

const yearS = 31_536_000
