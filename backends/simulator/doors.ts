import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import type { SimulatorSettings } from './settings.ts'

/** Who may come in: the Host check of a server on a loopback address, and the Origin check for browsers. */

export function hostAllowed(host: string | undefined, settings: SimulatorSettings): boolean {
  if (!settings.hostCheck || !isLoopback(settings.host)) return true
  const name = (host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
  if (isIP(name)) return isPrivate(name)
  return (
    name === '' ||
    name === 'localhost' ||
    name === hostname().toLowerCase() ||
    /\.(localhost|local|internal)$/.test(name)
  )
}

function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || address.startsWith('127.')
}

function isPrivate(address: string): boolean {
  if (/^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|0\.0\.0\.0$)/.test(address)) return true
  if (address === '::1' || address === '::' || /^f[cd]/.test(address)) return true
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((one) => one.address === address),
  )
}

const schemes = ['app://', 'file://', 'tauri://', 'vscode-webview://', 'vscode-file://']
const localNames = ['localhost', '127.0.0.1', '0.0.0.0']

/** What the browser is told: undefined when this is no cross-origin request, false when it is refused. */
export function originAllowed(
  req: IncomingMessage,
  settings: SimulatorSettings,
): string | false | undefined {
  const { origin } = req.headers
  if (origin === undefined || origin === '' || !settings.originCheck) return undefined
  const { host } = req.headers
  if (origin === `http://${host}` || origin === `https://${host}`) return undefined
  if (schemes.some((scheme) => origin.startsWith(scheme))) return origin
  const named = /^https?:\/\/([^/:]+)(:\d+)?$/.exec(origin)
  if (named && localNames.includes(named[1] ?? '')) return origin
  return settings.origins.some((pattern) => wildcard(pattern).test(origin)) ? origin : false
}

function wildcard(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

export const preflightHeaders: Readonly<Record<string, string>> = {
  'Access-Control-Allow-Methods': 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS',
  'Access-Control-Allow-Headers':
    'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout',
  'Access-Control-Max-Age': '43200',
}

export const preflightVary: readonly string[] = [
  'Origin',
  'Access-Control-Request-Method',
  'Access-Control-Request-Headers',
]
