import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { findProgram } from '../../lib/machine.ts'
import { freePort } from '../../lib/scene.ts'
import { haproxy as haproxyPeer } from '../../peers/haproxy.ts'
import type { Front, Place } from './front.ts'
import { reloadingFront } from './reloading.ts'

export const haproxy: Front = {
  name: 'haproxy',
  note: 'leastconn with a queue, checks as often as ours; refusals, empty answers and 503 go to the next one, POST too',
  look: () => haproxyPeer.look(),
  async start(place) {
    const port = await freePort()
    const file = join(place.dir, 'haproxy.cfg')
    const commands = join(place.dir, 'haproxy.sock')
    return reloadingFront({
      ...{ port, place, signal: 'SIGUSR2', reloadedMs: 500 },
      command: { program: findProgram('haproxy')!, args: ['-W', '-db', '-f', file] },
      write: (backends) => writeFileSync(file, config({ ...place, backends }, port, commands)),
      async drain(backend) {
        const socket = connect(commands)
        socket.end(`set server ollama/${backend} state drain\n`)
        await once(socket.resume(), 'close')
      },
    })
  },
}

// Without `http-no-delay` it holds every token back for up to 200 ms.
const config = ({ backends, seats, checkMs }: Place, port: number, commands: string) => `
global
  nbthread 1
  maxconn 4096
  stats socket ${commands} mode 600 level admin expose-fd listeners
defaults
  mode http
  option http-no-delay
  http-reuse safe
  retries 2
  option redispatch 1
  retry-on conn-failure empty-response 503
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout queue 10m
listen ollama
  bind 127.0.0.1:${port}
  balance leastconn
  option httpchk GET /
  default-server check inter ${checkMs} fall 3 rise 2 maxconn ${seats}
  ${backends.map(({ name, port: at }) => `server ${name} 127.0.0.1:${at}`).join('\n  ')}
`
