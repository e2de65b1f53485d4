import type { EventEmitter } from 'node:events'
import type { Service } from 'bonjour-service'
import { plainAddress } from './addresses.ts'

/** What announces itself on the local network. */
export interface Announced {
  readonly address: string
  readonly port: number
}

export interface BrowseTold {
  found(server: Announced): void
  gone(server: Announced): void
  /** It hears nothing more from now on; why, in words. */
  failed(sentence: string): void
}

/** Listens until it is disposed of. */
export type Browse = (told: BrowseTold) => Promise<Disposable>

/** As DNS-SD writes them: `_ollama._tcp` and `_chasqui-agent._tcp`. */
const types = ['ollama', 'chasqui-agent']
/** Anybody on the network can invent names, and the library keeps each. */
const servicesMax = 1_000

/** Listens on the local network by multicast DNS (RFC 6762, 6763). */
export async function browse(told: BrowseTold): Promise<Disposable> {
  const { Bonjour } = await import('bonjour-service').then(({ default: library }) => library)
  let over = false
  const fail = (why: string) => {
    if (over) return
    end()
    told.failed(why)
  }
  const failed = (error: Error) => fail(error.message)
  const bonjour = new Bonjour({}, failed)
  // Without a listener an error of its socket would end the process.
  const { mdns } = (bonjour as unknown as { server: { mdns: EventEmitter } }).server
  mdns.on('error', failed)
  const browsers = types.map((type) => {
    const browser = bonjour.find({ type }, (service) => {
      if (browser.services.length > servicesMax)
        return fail(`more than ${servicesMax} servers announce themselves`)
      const server = announcedBy(service)
      if (server && !over) told.found(server)
    })
    browser.on('down', (service) => {
      const server = announcedBy(service)
      if (server && !over) told.gone(server)
    })
    return browser
  })
  const end = () => {
    if (over) return
    over = true
    for (const browser of browsers) browser.stop()
    bonjour.destroy()
  }
  return { [Symbol.dispose]: end }
}

/** At its first IPv4 address, else its first one: those of one link only are refused later. */
function announcedBy({ port, addresses = [] }: Service): Announced | undefined {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined
  const plain = addresses.flatMap((address) => plainAddress(address) ?? [])
  const address = plain.find((each) => !each.includes(':')) ?? plain[0]
  return address === undefined ? undefined : { address, port }
}
