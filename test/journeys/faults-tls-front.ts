import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createServer } from 'node:tls'
import { fileURLToPath } from 'node:url'

export type Certificate = 'good' | 'self-signed' | 'other-name' | 'expired'

const pathOf = (file: string) => fileURLToPath(new URL(`./certificates/${file}`, import.meta.url))
const shown = (certificate: Certificate) => ({
  key: readFileSync(pathOf('server.key')),
  cert: readFileSync(pathOf(`${certificate}.pem`)),
})

/** Who trusts it takes what the good certificate says. */
export const authorityFile = pathOf('authority.pem')

/** TLS in front of a server without it. */
export interface TlsFront extends AsyncDisposable {
  readonly url: string
  /** Connections over which a client has said something. */
  readonly taken: () => number
  /** Another certificate from now on, for connections that are all new. */
  show(certificate: Certificate): void
}

export async function startTlsFront(port: number, first: Certificate): Promise<TlsFront> {
  const sockets = new Set<Socket>()
  let taken = 0
  const server = createServer(shown(first), (client) => {
    client.once('data', () => taken++)
    const behind = connect(port, '127.0.0.1')
    for (const socket of [client, behind]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        behind.destroy()
      })
    }
    client.pipe(behind).pipe(client)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: () => taken,
    show(certificate) {
      server.setSecureContext(shown(certificate))
      cut()
    },
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
