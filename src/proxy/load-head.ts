import type { Endpoint } from '../pool/endpoint.ts'
import type { Priority } from '../routing/line.ts'
import { headerOf } from './headers.ts'

/**
 * What goes to an agent beside a backend's own headers, and nowhere else: the sign by which it knows this proxy, and
 * the band in which the request waits here, so that it does there. The client's own words of these names are dropped.
 */
export function ownForAgent(
  own: Readonly<Record<string, string>>,
  tag: string,
  priority: Priority,
): Readonly<Record<string, string>> {
  return { ...own, 'x-chasqui-member': tag, 'x-chasqui-priority': priority }
}

/** Every answer of an agent says how it is at this moment. */
export function noteLoad(endpoint: Endpoint, rawHeaders: readonly string[]): void {
  const words = headerOf(rawHeaders, 'x-chasqui-load')
  const figures = words === undefined ? undefined : readLoadHead(words)
  if (figures) endpoint.learnLoadNow(figures)
}

/** Longer than four small numbers need is no head of ours. */
const lengthMax = 200
const item = /(?:^|,)[ \t]*(free|queue|active|hidden)=(\d{1,6})[ \t]*(?=,|$)/g

/** A dictionary of whole numbers (RFC 9651 3.2); undefined: those that matter are not all in it. */
export function readLoadHead(words: string) {
  if (words.length > lengthMax) return undefined
  const found: Record<string, number> = {}
  for (const [, key = '', number] of words.matchAll(item)) found[key] = Number(number)
  const { free, queue, active, hidden } = found as Partial<Record<string, number>>
  if (free === undefined || queue === undefined || active === undefined) return undefined
  return { free_slots: free, queue, active, hidden: hidden ?? null }
}
