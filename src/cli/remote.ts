import { exit } from './exit-codes.ts'
import { say } from './talk.ts'

/** The running proxy that a command talks to: `--url`, else where it listens by default. */
export function proxyUrl(given: string | undefined, env: NodeJS.ProcessEnv): string {
  if (given !== undefined) {
    const url = given.replace(/\/+$/, '')
    return url.includes('://') ? url : `http://${url}`
  }
  const listen = env['CHASQUI_LISTEN'] || '127.0.0.1:11435'
  const [host = '', port = '11435'] = /^(.*):(\d+)$/.exec(listen)?.slice(1) ?? []
  return `http://${host === '' || host === '0.0.0.0' || host === '[::]' ? '127.0.0.1' : host}:${port}`
}

/** One call to the proxy that must succeed: its JSON, or an exit code with a sentence said. */
export async function callProxy(
  url: string,
  path: string,
  env: NodeJS.ProcessEnv,
  method: 'GET' | 'POST' = 'GET',
): Promise<{ ok: true; body: unknown } | { ok: false; code: number }> {
  const asked = await askProxy(url, path, env, method)
  if (!asked.ok) return asked
  const { status, body } = asked
  if (status >= 200 && status < 300) return { ok: true, body }
  return { ok: false, code: sayRefusal(status, body) }
}

/** One call to the proxy: its answer, whatever that is; or an exit code with a sentence said when there is none. */
export async function askProxy(
  url: string,
  path: string,
  env: NodeJS.ProcessEnv,
  method: 'GET' | 'POST',
  { body: sent, timeoutMs = 10_000 }: { body?: unknown; timeoutMs?: number } = {},
): Promise<{ ok: true; status: number; body: unknown } | { ok: false; code: number }> {
  if (!URL.canParse(url)) {
    say(`chasqui: "${url}" is no URL; it looks like http://127.0.0.1:11435`)
    return { ok: false, code: exit.wrongUsage }
  }
  const token = env['CHASQUI_ADMIN_TOKEN']
  let response: Response
  try {
    response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { 'x-chasqui-admin-token': token }),
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
      signal: AbortSignal.timeout(timeoutMs),
    })
  } catch {
    say(`chasqui: nothing answers at ${url}; is it running? (chasqui up, or --url)`)
    return { ok: false, code: exit.notReachable }
  }
  const body: unknown = await response.json().catch(() => undefined)
  return { ok: true, status: response.status, body }
}

/** What the proxy said against it; the exit code. */
export function sayRefusal(status: number, body: unknown): number {
  const problem = body as { detail?: string; fix?: string; status?: unknown } | undefined
  say(`chasqui: ${problem?.detail ?? problem?.status ?? `it answered ${status}`}`)
  if (problem?.fix) say(`  fix: ${problem.fix}`)
  return status === 403 ? exit.notAllowed : exit.failed
}
