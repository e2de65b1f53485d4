import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, says } from '../lib/machine.ts'
import type { Peer, Place } from './peer.ts'

const program = findProgram('haproxy')

export const haproxy: Peer = {
  name: 'haproxy',
  note: '1 thread, http-reuse always, option http-no-delay',
  look: () =>
    program
      ? { version: /version (\d[\d.]*)/.exec(says(program, ['-v']))?.[1] ?? '' }
      : { missing: 'no haproxy on PATH' },
  command: (place) => {
    const file = join(place.dir, 'haproxy.cfg')
    writeFileSync(file, config(place))
    return { program: program!, args: ['-db', '-f', file] }
  },
}

// Without `http-no-delay` it holds every token back for up to 200 ms.
const config = ({ port, upstreamPort }: Place) => `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
listen ollama
  bind 127.0.0.1:${port}
  server a 127.0.0.1:${upstreamPort} pool-max-conn 4096
`
