import { mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, start } from '../../lib/child.ts'
import { findProgram } from '../../lib/machine.ts'
import { freePort } from '../../lib/scene.ts'
import { nginx as nginxPeer } from '../../peers/nginx.ts'
import { type Front, listens, type Place } from './front.ts'

/** A reload is over when the new worker runs; nothing tells us. */
const reloadedMs = 300

export const nginx: Front = {
  name: 'nginx',
  note: 'least_conn; refusals, lost connections and 503 before the answer go to the next one, POST too; no buffering',
  look: () => nginxPeer.look(),
  async start(place) {
    const port = await freePort()
    const file = join(place.dir, 'nginx.conf')
    mkdirSync(join(place.dir, 'temp'))
    const write = (names: Place['backends']) =>
      writeFileSync(file, config({ ...place, backends: names }, port))
    let child: Child | undefined
    const reload = async () => {
      process.kill(child!.pid, 'SIGHUP')
      await sleep(reloadedMs)
    }
    return {
      port,
      get pid() {
        return child!.pid
      },
      // A fresh one: it remembers failures, and the workers of an old configuration live on.
      async ready() {
        await child?.[Symbol.asyncDispose]()
        write(place.backends)
        const args = ['-p', place.dir, '-c', file, '-e', 'stderr']
        child = await start({ program: findProgram('nginx')!, args })
        await listens(port, child)
      },
      drain: undefined,
      async remove(backend) {
        write(place.backends.filter(({ name }) => name !== backend))
        await reload()
      },
      replace: reload,
      async [Symbol.asyncDispose]() {
        await child?.[Symbol.asyncDispose]()
      },
    }
  },
}

// Ollama answers 403 to a name that it does not know, and the upstream's name would be one.
const config = ({ dir, backends }: Place, port: number) => `
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${dir}/nginx.pid;
error_log stderr crit;
${userInfo().uid === 0 ? 'user root;' : ''}
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${dir}/temp/body;
  proxy_temp_path ${dir}/temp/proxy;
  fastcgi_temp_path ${dir}/temp/fastcgi;
  uwsgi_temp_path ${dir}/temp/uwsgi;
  scgi_temp_path ${dir}/temp/scgi;
  client_max_body_size 0;
  upstream ollama {
    least_conn;
    ${backends.map(({ port: at }) => `server 127.0.0.1:${at} max_fails=3 fail_timeout=2s;`).join('\n    ')}
    keepalive 512;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://ollama;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host localhost;
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_next_upstream error timeout http_503 non_idempotent;
      proxy_next_upstream_tries 3;
    }
  }
}
`
