import { isIP } from 'node:net'
import PQueue from 'p-queue'
import { originOf, plainAddress } from './addresses.ts'
import type { CallAddress } from './calls.ts'

const asksAtOnce = 32
const askMsMax = 1_000
/** Ranges are bounded where they are read; this is for those who ask without a configuration. */
const addressesMax = 1_024

export interface FoundServer {
  readonly origin: string
  readonly version: string
}

/** Asks every address of the ranges for its version, as Ollama answers it; `isWanted` ends it early. */
export async function scan(
  ranges: readonly string[],
  port: number,
  call: CallAddress,
  isWanted: () => boolean = () => true,
): Promise<FoundServer[]> {
  const found: FoundServer[] = []
  const asks = new PQueue({ concurrency: asksAtOnce })
  const addresses = [...new Set(ranges.flatMap(addressesIn))].slice(0, addressesMax)
  await asks.addAll(
    addresses.map((address) => async () => {
      if (!isWanted()) return
      const origin = originOf(address, port)
      const version = await versionAt(origin, call)
      if (version !== undefined) found.push({ origin, version })
    }),
  )
  return found.sort((one, other) => (one.origin < other.origin ? -1 : 1))
}

/** What an Ollama says of itself; undefined: nothing there does. */
export async function versionAt(origin: string, call: CallAddress): Promise<string | undefined> {
  const answer = await call(origin, {
    method: 'GET',
    path: '/api/version',
    timeoutMs: askMsMax,
  })
  if (answer?.status !== 200) return undefined
  try {
    const { version } = JSON.parse(answer.body.toString('utf8')) as { version?: unknown }
    const isVersion = typeof version === 'string' && /^[\w.+-]{1,64}$/.test(version)
    return isVersion ? version : undefined
  } catch {
    return undefined
  }
}

/** Every address of a range, first to last; as many as a scan may have at most. */
export function addressesIn(range: string): string[] {
  const [base = '', bits] = range.split('/')
  const width = isIP(base) === 6 ? 128 : 32
  const hostBits = BigInt(width - (bits === undefined ? width : Number(bits)))
  const first = (numberOf(base) >> hostBits) << hostBits
  const count = hostBits > 10n ? addressesMax : Number(1n << hostBits)
  return Array.from({ length: count }, (_, index) => textOf(first + BigInt(index), width))
}

function numberOf(address: string): bigint {
  if (isIP(address) === 4)
    return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
  const [head = '', tail] = address.split('::')
  const parts = (words: string) => words.split(':').filter((word) => word !== '')
  const before = parts(head)
  const after = tail === undefined ? [] : parts(tail)
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  const all = tail === undefined ? before : [...before, ...zeros, ...after]
  return all.reduce((sum, part) => (sum << 16n) | BigInt(`0x${part}`), 0n)
}

function textOf(value: bigint, width: number): string {
  const size = width === 32 ? 8n : 16n
  const mask = (1n << size) - 1n
  const parts = Array.from({ length: Number(BigInt(width) / size) }, (_, index) => {
    const part = (value >> (BigInt(width) - size * BigInt(index + 1))) & mask
    return part.toString(width === 32 ? 10 : 16)
  })
  const words = parts.join(width === 32 ? '.' : ':')
  return plainAddress(words) ?? words
}
