import { mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { findProgram, says } from '../lib/machine.ts'
import type { Peer, Place } from './peer.ts'

const program = findProgram('nginx')

export const nginx: Peer = {
  name: 'nginx',
  note: '1 worker, upstream keep-alive, response and request buffering off, no access log',
  look: () =>
    program
      ? { version: /nginx\/(\S+)/.exec(says(program, ['-v']))?.[1] ?? '' }
      : { missing: 'no nginx on PATH' },
  command: (place) => {
    const file = join(place.dir, 'nginx.conf')
    mkdirSync(join(place.dir, 'temp'))
    writeFileSync(file, config(place))
    return { program: program!, args: ['-p', place.dir, '-c', file, '-e', 'stderr'] }
  },
}

/** One worker that keeps all its files in a folder, with these lines in its `http`. */
export function nginxConfig(dir: string, http: string): string {
  return `
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
${http}
}
`
}

/**
 * `least_conn` over servers, each with its own words. Ollama answers 403 to a name that it does not know, and the
 * upstream's name would be one.
 */
export function leastConnBlocks(
  port: number,
  servers: readonly string[],
  more: readonly string[] = [],
): string {
  return `  upstream ollama {
    least_conn;
    ${servers.map((server) => `server ${server};`).join('\n    ')}
    keepalive 512;
  }
  ${serverBlock(port, ['proxy_set_header Host localhost', ...more])}`
}

/** What passes everything on to `ollama`, a piece at a time. */
const serverBlock = (port: number, more: readonly string[]) => `server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://ollama;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
      ${more.map((line) => `${line};`).join('\n      ')}
    }
  }`

// Without `proxy_request_buffering off` it writes bodies beyond 16 KB to disk; without `proxy_buffering off` it may
// hold tokens back. The keepalive limits are raised, or it would reconnect every 1,000 requests.
const config = ({ port, upstreamPort, dir }: Place) =>
  nginxConfig(
    dir,
    `  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  upstream ollama {
    server 127.0.0.1:${upstreamPort};
    keepalive 4096;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }
  ${serverBlock(port, ['proxy_request_buffering off'])}`,
  )
