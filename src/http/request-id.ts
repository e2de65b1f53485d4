import { randomUUID } from 'node:crypto'

/** The client's own id when it can stand in a log line, else one of ours. */
export function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
}
