import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Peer } from './peer.ts'

const file = fileURLToPath(new URL('./http-proxy-process.ts', import.meta.url))
const about = new URL('../../node_modules/@fastify/http-proxy/package.json', import.meta.url)

/** The library that a Node proxy is usually made of. */
export const httpProxy: Peer = {
  name: 'http-proxy',
  note: '@fastify/http-proxy as it comes, but 4,096 upstream connections instead of 128',
  look: () => {
    try {
      const { version }: { version: string } = JSON.parse(readFileSync(about, 'utf8'))
      return { version }
    } catch {
      return { missing: '@fastify/http-proxy is not installed' }
    }
  },
  command: ({ port, upstreamPort }) => ({
    program: process.execPath,
    args: [file, `${port}`, `${upstreamPort}`],
  }),
}
