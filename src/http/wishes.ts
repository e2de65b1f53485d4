import type { IncomingHttpHeaders } from 'node:http'
import { durationMs } from '../core/duration.ts'
import { Failure } from '../core/failure.ts'
import { isSessionName } from '../guard/session.ts'
import { isPriority, type Priority } from '../routing/line.ts'

/** What a client may wish for by header; the same on every path that asks a model. */
export interface Wishes {
  /** Undefined: not said. */
  readonly priority: Priority | undefined
  readonly labels: readonly string[]
  readonly work: string
  /** When the whole answer must be there. */
  readonly deadlineMs: number | undefined
}

/** A wish that is not understood is an error, not silence. */
export function wishesOf(headers: IncomingHttpHeaders, arrivedMs: number): Wishes {
  const labels = headers['x-chasqui-labels']
  const work = headers['x-chasqui-work']
  mustNameSession(headers['x-chasqui-session'])
  return {
    priority: priorityOf(headers['x-chasqui-priority']),
    labels:
      typeof labels === 'string'
        ? labels
            .split(',')
            .map((label) => label.trim())
            .filter((label) => label !== '')
        : [],
    work: typeof work === 'string' ? work.slice(0, 100) : '',
    deadlineMs: deadlineOf(headers['x-chasqui-deadline'], arrivedMs),
  }
}

function priorityOf(given: string | string[] | undefined): Priority | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'string' || !isPriority(given))
    throw new Failure('request_invalid', 'X-Chasqui-Priority is interactive, normal or batch')
  return given
}

/** What it is called is read where the tenant is known; here it is only made sure that it is called something. */
function mustNameSession(given: string | string[] | undefined): void {
  // Most requests have no such header, and one that is empty says nothing.
  if (given === undefined || given === '') return
  if (typeof given !== 'string' || !isSessionName(given))
    throw new Failure(
      'request_invalid',
      'X-Chasqui-Session is a name of up to 256 printable letters of ASCII',
    )
}

/** `X-Chasqui-Deadline: 30s`, or seconds. */
function deadlineOf(given: string | string[] | undefined, arrivedMs: number): number | undefined {
  if (given === undefined) return undefined
  const words = typeof given === 'string' ? given.trim() : ''
  const ms = /^\d+(\.\d+)?$/.test(words) ? Number(words) * 1_000 : durationMs(words)
  if (ms === undefined || !(ms > 0 && ms < Number.POSITIVE_INFINITY))
    throw new Failure('request_invalid', 'X-Chasqui-Deadline is a duration such as 30s')
  return arrivedMs + ms
}

/** True for a request whose header asks for split mode; `false` in it asks for nothing. */
export function asksForSplit(headers: IncomingHttpHeaders): boolean {
  const header = headers['x-chasqui-split']
  return header !== undefined && String(header).trim().toLowerCase() !== 'false'
}
