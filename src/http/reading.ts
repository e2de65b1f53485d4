import type { Ask } from '../core/ask.ts'
import { canonicalName } from '../core/model-name.ts'
import { readAsk } from '../dialects/ask.ts'
import { MultipartScanner } from '../dialects/multipart.ts'
import { PrefixHasher } from '../dialects/prefix.ts'
import type { Route } from '../dialects/routes.ts'
import { BodyScanner, type ScanResult } from '../dialects/scan.ts'
import { type BodyBudget, type HeldBody, takeBody } from '../proxy/body.ts'
import type { Visit } from './front.ts'
import { unpack } from './unpacking.ts'

/** A request read as far as the pool needs: its body held, its model known. */
export type Read =
  | { readonly ok: true; readonly ask: Ask; readonly body: HeldBody; readonly scan: ScanResult }
  | { readonly ok: false; readonly status: number; readonly message: string }

/**
 * Takes the body and learns from it as it arrives; throws, or rejects with, a Failure or ClientGone. What has come
 * already is read at once, without a promise. `withPrefix`: also how its prompt begins, for the routes that have one.
 */
export function readRequest(
  visit: Visit,
  route: Route,
  budget: BodyBudget,
  withPrefix = false,
): Read | Promise<Read> {
  const hasher = withPrefix && readsPrompts.has(route.op) ? new PrefixHasher() : undefined
  if (isZstd(visit, route)) return readPacked(visit, route, budget, hasher)
  const scanner = scannerFor(visit, route, hasher)
  const body = takeBody(visit.request.body, budget, (chunk) => scanner.feed(chunk))
  return body instanceof Promise
    ? body.then((taken) => readFrom(taken, scanner, route))
    : readFrom(body, scanner, route)
}

function readFrom(body: HeldBody, scanner: BodyScanner | MultipartScanner, route: Route): Read {
  try {
    return readAs(route, scanner.end(), body)
  } catch (error) {
    body[Symbol.dispose]()
    throw error
  }
}

async function readPacked(
  visit: Visit,
  route: Route,
  budget: BodyBudget,
  hasher: PrefixHasher | undefined,
): Promise<Read> {
  const body = await takeBody(visit.request.body, budget, () => {})
  try {
    const scanner = new BodyScanner(hasher)
    await unpack(body, budget, visit.client, (chunk) => scanner.feed(chunk))
    const read = readAs(route, scanner.end(), body)
    // The model has another place in what was sent.
    return read.ok ? { ...read, ask: { ...read.ask, modelAt: undefined } } : read
  } catch (error) {
    body[Symbol.dispose]()
    throw error
  }
}

/** What was found in a body; one that is refused is let go. */
function readAs(route: Route, scan: ScanResult, body: HeldBody): Read {
  const read = readAsk(route, scan)
  if (read.ok) return { ok: true, ask: read.ask, body, scan }
  body[Symbol.dispose]()
  return read
}

/** A held body in one piece; who asks for it has charged a spooled one to the memory budget. */
export async function wholeOf(body: HeldBody): Promise<Buffer> {
  if (body.bytes) return body.bytes
  const chunks: Buffer[] = []
  for await (const chunk of body.open() as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** For what names no model: lists, accounts, unknown paths. */
export function askWithoutModel(route: Pick<Route, 'family' | 'op' | 'framing'>): Ask {
  return {
    family: route.family,
    op: route.op,
    modelText: '',
    name: { canonical: canonicalName(''), cloud: true },
    purpose: 'infer',
    framing: route.framing,
    needs: [],
    runner: {},
    keepAlive: undefined,
    textBytes: 0,
    repeatable: false,
  }
}

/** Operations whose prompts a runner keeps in memory; embeddings are read once. */
const readsPrompts: ReadonlySet<string> = new Set(['generate', 'chat', 'responses'])

function scannerFor(
  visit: Visit,
  route: Route,
  hasher: PrefixHasher | undefined,
): BodyScanner | MultipartScanner {
  return route.body === 'multipart'
    ? new MultipartScanner(visit.request.headers['content-type'] ?? '')
    : new BodyScanner(hasher)
}

/** Only where Ollama decodes it; elsewhere it would find no JSON, and so do we. */
function isZstd(visit: Visit, route: Route): boolean {
  return (
    route.path.startsWith('/v1/') &&
    route.body === 'json' &&
    visit.request.headers['content-encoding']?.trim().toLowerCase() === 'zstd'
  )
}
