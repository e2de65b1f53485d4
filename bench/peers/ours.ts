import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Peer } from './peer.ts'

const main = fileURLToPath(new URL('../../src/main.mjs', import.meta.url))
const about = new URL('../../package.json', import.meta.url)

export const ours: Peer = {
  name: 'ours',
  note: 'one backend with 4,096 slots, log silent',
  look: () => {
    if (!existsSync(main)) return { missing: 'src/main.mjs is not there' }
    const { version }: { version: string } = JSON.parse(readFileSync(about, 'utf8'))
    return { version }
  },
  command: ({ port, upstreamPort, dir }) => ({
    program: process.execPath,
    args: [
      main,
      'up',
      ...['--listen', `127.0.0.1:${port}`],
      ...['--backend', `http://127.0.0.1:${upstreamPort},name=a`],
      // More than the streams of any measure: the rest would wait for a seat.
      ...['--slots', '4096'],
    ],
    env: { CHASQUI_LOG_LEVEL: 'silent', CHASQUI_DATA: dir },
  }),
}
