import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { matchesAny } from '../core/wildcard.ts'
import { isLoopback, isPrivate, isUnspecified, normalAddress } from './address.ts'

/**
 * The lists by which Ollama protects a machine from the web pages that its user happens to look at. A pool in front
 * must not take that protection away. Sources: Ollama's envconfig (AllowedOrigins) and server routes
 * (allowedHostsMiddleware), and gin-contrib/cors.
 */
const originsAllowed = ['app://*', 'file://*', 'tauri://*', 'vscode-webview://*', 'vscode-file://*']

/** With any port, or none. The port is digits: behind `localhost:*` a foreign host name could hide. */
const ownOrigin = /^https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d{1,5})?$/

/** May a page of this origin call? `extra` comes from the operator; a `*` in it stands for any text. */
export function originAllowed(
  origin: string,
  hostHeader: string | undefined,
  extra: readonly string[],
): boolean {
  const asked = origin.toLowerCase()
  return (
    isSameOrigin(asked, hostHeader) ||
    ownOrigin.test(asked) ||
    matchesAny(asked, originsAllowed) ||
    matchesAny(asked, extra)
  )
}

/** A page that this very address served. */
export function isSameOrigin(origin: string, hostHeader: string | undefined): boolean {
  if (hostHeader === undefined || hostHeader === '') return false
  const asked = origin.toLowerCase()
  const host = hostHeader.toLowerCase()
  return asked === `http://${host}` || asked === `https://${host}`
}

/** This machine, as far as a Host header can name it. */
export interface Machine {
  readonly hostname: string
  readonly addresses: readonly string[]
}

/**
 * May a request with this Host header be answered? Only asked of a loopback listener: there, a foreign name means a
 * page whose own name was pointed at this machine (DNS rebinding).
 */
export function hostAllowed(
  hostHeader: string | undefined,
  listenHost: string,
  extra: readonly string[],
  machine: () => Machine = thisMachine,
): boolean {
  if (!isLoopbackListener(listenHost)) return true
  const host = hostWithoutPort(hostHeader ?? '')
  if (host === undefined) return false
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) !== 0) {
    const address = normalAddress(bare)
    return (
      isLoopback(address) ||
      isPrivate(address) ||
      isUnspecified(address) ||
      matchesAny(address, extra) ||
      machine().addresses.some((own) => normalAddress(own) === address)
    )
  }
  return (
    host === '' ||
    host === 'localhost' ||
    /.\.(localhost|local|internal)$/.test(host) ||
    matchesAny(host, extra) ||
    host === machine().hostname.toLowerCase()
  )
}

function isLoopbackListener(listenHost: string): boolean {
  const host = listenHost.toLowerCase()
  return host === 'localhost' || isLoopback(host)
}

/** The host in lower case, without its port and without the dot that may end a full name; undefined: no host at all. */
function hostWithoutPort(hostHeader: string): string | undefined {
  const parts = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]*)(?::\d{0,5})?$/.exec(
    hostHeader.trim().toLowerCase(),
  )
  const host = parts?.[1]
  if (host === undefined || host.endsWith('..')) return undefined
  return host.replace(/(.)\.$/, '$1')
}

function thisMachine(): Machine {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return { hostname: hostname(), addresses: addresses.map(({ address }) => address) }
}
