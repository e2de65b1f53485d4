import type { LoadReport, SlotsReport } from '../../src/core/load-report.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'
import type { HostFigures } from './host/figures.ts'
import type { Permit } from './permit.ts'

/** A heartbeat may have 64 KiB; what is around the report takes less than one. */
const reportBytesMax = 62_000
/** Beyond it rows are cut: nobody reads more, and the heartbeat must pass. */
const rowsMax = 100

export interface ReportParts {
  readonly atMs: number
  readonly permit: Pick<
    Permit,
    'size' | 'active' | 'freeSeats' | 'strangers' | 'running' | 'drained'
  >
  readonly endpoint: Pick<Endpoint, 'seatRows' | 'version' | 'inMemory'>
  readonly host: HostFigures
  readonly resident: LoadReport['resident']
  readonly capabilities: LoadReport['capabilities']
  readonly managed: boolean
  /** What there is to say besides of why something is missing. */
  readonly absent: Readonly<Record<string, string>>
}

/** All that the agent knows of its machine at this moment, in a size that a heartbeat can carry. */
export function reportOf(parts: ReportParts): LoadReport {
  const { permit, endpoint, host } = parts
  const whole: LoadReport = {
    at_ms: parts.atMs,
    free_slots: permit.freeSeats(),
    queue: permit.size,
    active: permit.active,
    hidden: permit.strangers() ?? null,
    slots: slotsOf(endpoint),
    resident: parts.resident.slice(0, rowsMax),
    running: permit
      .running()
      .slice(0, rowsMax)
      .map(({ model, sinceMs }) => ({ model, since_ms: sinceMs, tokens: null })),
    ...host,
    absent: { ...host.absent, ...parts.absent },
    capabilities: parts.capabilities,
    drained: permit.drained,
    managed: parts.managed,
    ollama_version: endpoint.version ?? null,
  }
  if (Buffer.byteLength(JSON.stringify(whole)) <= reportBytesMax) return whole
  const absent = { ...whole.absent, capabilities: 'there are too many models to tell of each' }
  return { ...whole, capabilities: {}, absent }
}

/** Of what is in memory or in use: a disk may hold a thousand models that have no slots at all. */
function slotsOf(endpoint: ReportParts['endpoint']): Record<string, SlotsReport> {
  const rows = [...endpoint.seatRows()]
    .filter(({ model, used }) => used > 0 || endpoint.inMemory.has(model))
    .slice(0, rowsMax)
    .map(({ model, used, limit, learned }) => [model, { used, limit, learned }] as const)
  return Object.fromEntries(rows)
}
