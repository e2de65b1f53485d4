import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from '../../lib/machine.ts'
import { freePort } from '../../lib/scene.ts'
import { leastConnBlocks, nginxConfig, nginx as nginxPeer } from '../../peers/nginx.ts'
import type { Front, Place } from './front.ts'
import { reloadingFront } from './reloading.ts'

export const nginx: Front = {
  name: 'nginx',
  note: 'least_conn; refusals, lost connections and 503 before the answer go to the next one, POST too; no buffering',
  look: () => nginxPeer.look(),
  async start(place) {
    const port = await freePort()
    const file = join(place.dir, 'nginx.conf')
    mkdirSync(join(place.dir, 'temp'))
    const args = ['-p', place.dir, '-c', file, '-e', 'stderr']
    return reloadingFront({
      ...{ port, place, signal: 'SIGHUP', reloadedMs: 300, drain: undefined },
      command: { program: findProgram('nginx')!, args },
      write: (backends) => writeFileSync(file, config({ ...place, backends }, port)),
    })
  },
}

const config = ({ dir, backends }: Place, port: number) =>
  nginxConfig(
    dir,
    leastConnBlocks(
      port,
      backends.map(({ port: at }) => `127.0.0.1:${at} max_fails=3 fail_timeout=2s`),
      ['proxy_next_upstream error timeout http_503 non_idempotent', 'proxy_next_upstream_tries 3'],
    ),
  )
