import { promises as dns } from 'node:dns'
import { addressRange } from '../config/kinds.ts'
import { privateAddressCount } from '../config/private-range.ts'
import { realClock, sleep } from '../core/clock.ts'
import { originOf } from '../members/addresses.ts'
import type { CallAddress } from '../members/calls.ts'
import { originsOf } from '../members/dns-names.ts'
import { browse } from '../members/mdns.ts'
import { type FoundServer, scan, versionAt } from '../members/scan.ts'
import { addressDoor } from '../proxy/call-address.ts'
import { exit } from './exit-codes.ts'
import { inColumns } from './members.ts'
import { data, say } from './talk.ts'

export interface DiscoverFlags {
  readonly scan?: readonly string[]
  readonly dns?: readonly string[]
  readonly port?: number
  readonly json?: boolean
}

const portUsual = 11_434
/** As the configuration allows it: half a minute at most. */
const addressesMax = 1_024
/** Announcements come within a second of the question, or not. */
const listenMs = 2_000

type Found = FoundServer & { readonly how: 'dns' | 'mdns' | 'scan' | 'this machine' }

/** `chasqui discover`: which servers there are, without changing anything. */
export async function discover(flags: DiscoverFlags): Promise<number> {
  const { scan: ranges = [], dns: names = [], port = portUsual } = flags
  const wrong = faultOf(ranges)
  if (wrong !== undefined) {
    say(`chasqui: ${wrong}`)
    return exit.wrongUsage
  }
  const call: CallAddress = addressDoor(realClock(), 'chasqui-discover')
  const lists = await Promise.all([
    asked([originOf('127.0.0.1', port)], 'this machine', call),
    ...names.map((name) => atName(name, port, call)),
    ranges.length === 0 ? [] : scanned(ranges, port, call),
    announced(call),
  ])
  const found = new Map<string, Found>()
  for (const server of lists.flat()) if (!found.has(server.origin)) found.set(server.origin, server)
  show([...found.values()], flags.json === true)
  return found.size > 0 ? exit.done : exit.noBackend
}

function faultOf(ranges: readonly string[]): string | undefined {
  const isRange = ranges.every((range) => addressRange().safeParse(range).success)
  const counts = isRange ? ranges.map(privateAddressCount) : [undefined]
  if (counts.includes(undefined))
    return '--scan needs private ranges, such as 192.168.1.0/24 or 10.1.2.3'
  const sum = counts.reduce<number>((all, count = 0) => all + count, 0)
  return sum > addressesMax
    ? `--scan asks ${addressesMax} addresses at most, and these are ${sum}`
    : undefined
}

async function asked(
  origins: readonly string[],
  how: Found['how'],
  call: CallAddress,
): Promise<Found[]> {
  const versions = await Promise.all(origins.map((origin) => versionAt(origin, call)))
  return origins.flatMap((origin, at) => {
    const version = versions[at]
    return version === undefined ? [] : [{ origin, version, how }]
  })
}

async function atName(name: string, port: number, call: CallAddress): Promise<Found[]> {
  const resolve = (host: string) => dns.lookup(host, { all: true })
  try {
    const doors = { resolve, resolveSrv: dns.resolveSrv, isOwn: () => false }
    const found = await asked(await originsOf(name, port, doors), 'dns', call)
    if (found.length === 0) say(`chasqui: no Ollama answers at the addresses of ${name}`)
    return found
  } catch (error) {
    const { code = 'no reason given' } = error as NodeJS.ErrnoException
    say(`chasqui: the name ${name} can not be looked up (${code})`)
    return []
  }
}

async function scanned(
  ranges: readonly string[],
  port: number,
  call: CallAddress,
): Promise<Found[]> {
  const servers = await scan(ranges, port, call)
  return servers.map((server) => ({ ...server, how: 'scan' }))
}

async function announced(call: CallAddress): Promise<Found[]> {
  const origins = new Set<string>()
  const failed = (why: string) => say(`chasqui: mDNS does not work here: ${why}`)
  try {
    using _browsing = await browse({
      found: ({ address, port }) => void origins.add(originOf(address, port)),
      gone() {},
      failed,
    })
    await sleep(realClock(), listenMs)
  } catch (error) {
    failed(error instanceof Error ? error.message : String(error))
  }
  return asked([...origins], 'mdns', call)
}

function show(found: readonly Found[], asJson: boolean): void {
  if (asJson) {
    const servers = found.map(({ origin, version, how }) => ({ url: origin, version, how }))
    data(JSON.stringify({ servers }))
    return
  }
  for (const line of inColumns(found.map((each) => [each.origin, each.version, each.how])))
    data(line)
  if (found.length > 0)
    say(`take them: chasqui up${found.map(({ origin }) => ` --backend ${origin}`).join('')}`)
  else say('chasqui: nothing was found; look elsewhere with --scan CIDR or --dns NAME')
}
