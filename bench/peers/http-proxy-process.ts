/** The process that peers/http-proxy.ts starts: PORT UPSTREAM_PORT. */
import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'

const [port, upstreamPort] = process.argv.slice(2)

const app = fastify({ logger: false })
await app.register(httpProxy, {
  upstream: `http://127.0.0.1:${upstreamPort}`,
  // Of two hundred streams all but 128 would wait with the default, and the table would show only that.
  undici: { connections: 4096, pipelining: 1 },
})
await app.listen({ host: '127.0.0.1', port: Number(port) })
process.stdout.write(`ready http://127.0.0.1:${port}\n`)
